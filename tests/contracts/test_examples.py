"""What the pages of the APIs fill in for a request is one that the operation takes."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

DOCUMENTS = Path(__file__).parents[2] / "docs/openapi"
_OF_FORMAT = {"uuid": "3fa85f64-5717-4562-b3fc-2c963f66afa6", "date": "2026-11-30", "date-time": "2026-11-30T09:00:00Z"}
_PLACEHOLDER = "string"


def sample(document: dict[str, Any], schema: dict[str, Any]) -> Any:
    """The value that the page shows: an example where there is one, else one made up from the type."""
    while "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        schema = {**document["components"]["schemas"][name], **{k: v for k, v in schema.items() if k != "$ref"}}
    if schema.get("examples"):
        return schema["examples"][0]
    given = [schema.get("default"), *schema.get("enum", [])]
    several = [sample(document, each) for key in ("anyOf", "oneOf", "allOf") for each in schema.get(key, [])[:1]]
    found = next((each for each in [*given, *several] if each is not None), None)
    if found is not None or several:
        return found
    match schema.get("type"):
        case "object":
            found = {name: sample(document, each) for name, each in schema.get("properties", {}).items()}
        case "array":
            found = [sample(document, schema["items"])]
        case "string":
            found = _OF_FORMAT.get(schema.get("format", ""), _PLACEHOLDER)
        case "integer" | "number":
            found = 0
        case "boolean":
            found = True
        case _:
            found = schema.get("const")
    return found


def texts(found: Any) -> list[str]:
    if isinstance(found, dict):
        return [text for each in found.values() for text in texts(each)]
    if isinstance(found, list):
        return [text for each in found for text in texts(each)]
    return [found] if isinstance(found, str) else []


def bodies() -> list[Any]:
    found = []
    for path in sorted(DOCUMENTS.glob("*.json")):
        document = json.loads(path.read_text())
        for url, operations in document["paths"].items():
            for method, operation in operations.items():
                content = operation.get("requestBody", {}).get("content", {}).get("application/json")
                if content is not None:
                    found.append(pytest.param(document, content, id=f"{path.stem} {method.upper()} {url}"))
    return found


@pytest.mark.parametrize(("document", "content"), bodies())
def test_the_body_that_a_page_fills_in_is_taken(document: dict[str, Any], content: dict[str, Any]) -> None:
    body = content["example"] if "example" in content else sample(document, content["schema"])
    root = {**content["schema"], "components": document["components"]}
    assert [f"{each.json_path}: {each.message}" for each in Draft202012Validator(root).iter_errors(body)] == []
    assert _PLACEHOLDER not in texts(body), body


def path_parameters() -> list[Any]:
    found = []
    for path in sorted(DOCUMENTS.glob("*.json")):
        for url, operations in json.loads(path.read_text())["paths"].items():
            for method, operation in operations.items():
                for each in operation.get("parameters", []):
                    if each["in"] == "path" and each["schema"].get("format") != "uuid":
                        found.append(pytest.param(each, id=f"{path.stem} {method.upper()} {url} {each['name']}"))
    return found


@pytest.mark.parametrize("parameter", path_parameters())
def test_a_part_of_the_address_has_an_example_unless_it_is_a_random_id(parameter: dict[str, Any]) -> None:
    assert parameter["schema"].get("examples") or "enum" in parameter["schema"]
