"""Whether manifests are what the API server would accept: Kubernetes' own schemas for its kinds, and the schemas of the
custom resources for theirs. A kind that neither knows is an error, not a warning."""

import re
from collections.abc import Iterable
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, ValidationError
from jsonschema.exceptions import best_match
from kubernetes_validate import utils as bundled
from referencing import Registry, Resource

from tools.chart.places import CRDS
from tools.chart.render import Document

Json = dict[str, Any]


def complaints(documents: Iterable[Document], version: str, crds: Path = CRDS) -> list[str]:
    """What is wrong, in words with the path; empty when all is well."""
    custom = custom_schemas(crds)
    found = []
    for document in documents:
        validator = custom.get((document["apiVersion"], document["kind"])) or _of_kubernetes(
            version, document["apiVersion"], document["kind"]
        )
        name = f"{document['kind']} {document['metadata']['name']}"
        if validator is None:
            if not (_is_custom(document["apiVersion"]) and not custom):
                found.append(f"{name}: no schema of {document['apiVersion']} {document['kind']} for {version}")
            continue
        error = best_match(validator.iter_errors(document))
        if error is not None:
            found.append(f"{name}: {_place(error)}: {error.message[:300]}")
    return found


def _is_custom(api_version: str) -> bool:
    """Whether an API belongs to no part of Kubernetes itself."""
    group = api_version.rpartition("/")[0]
    return ("." in group and not group.endswith(".k8s.io")) or group.startswith("gateway.")


def _place(error: ValidationError) -> str:
    return ".".join(str(part) for part in error.absolute_path) or "(top)"


@cache
def _of_kubernetes(version: str, api_version: str, kind: str) -> Draft202012Validator | None:
    """What kubernetes-validate does with each document, with the schemas read once instead of each time."""
    release = next(known for known in bundled.all_versions() if bundled.major_minor(known) == version)
    folder = f"kubernetes-json-schema/v{release}-local-strict"
    group = re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", api_version)
    try:
        schema = bundled.schema_contents(f"{folder}/{kind.lower()}-{group}.json", release)
    except FileNotFoundError:
        return None
    return Draft202012Validator(schema, registry=Resource.from_contents(schema) @ _definitions(folder, release))


@cache
def _definitions(folder: str, release: str) -> Registry:
    contents = bundled.schema_contents(f"{folder}/_definitions.json", release)
    return Resource.from_contents(contents) @ Registry()


@cache
def custom_schemas(crds: Path = CRDS) -> dict[tuple[str, str], Draft202012Validator]:
    """A validator for each version and kind of the definitions in a folder; empty where there is no folder."""
    found = {}
    for file in sorted(crds.glob("*.yaml")) if crds.is_dir() else []:
        definition = yaml.load(file.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        spec = definition["spec"]
        for version in spec["versions"]:
            if version["served"]:
                key = f"{spec['group']}/{version['name']}", spec["names"]["kind"]
                found[key] = Draft202012Validator(strict(version["schema"]["openAPIV3Schema"]))
    return found


def strict(schema: Json) -> Json:
    """The structural schema of a custom resource as JSON Schema that refuses what the API server would drop."""
    closed = _closed(deepcopy(schema))
    # Their contents are Kubernetes' own.
    closed["properties"] |= {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object"},
    }
    return closed


def _closed(schema: Json) -> Json:
    if schema.pop("x-kubernetes-int-or-string", False):
        schema.pop("type", None)
        schema.pop("anyOf", None)
        schema["type"] = ["integer", "string"]
    if schema.pop("nullable", False) and isinstance(schema.get("type"), str):
        schema["type"] = [schema["type"], "null"]
    open_to_more = schema.pop("x-kubernetes-preserve-unknown-fields", False)
    properties = schema.get("properties")
    if properties is not None:
        schema["properties"] = {name: _closed(part) for name, part in properties.items()}
        if "additionalProperties" not in schema and not open_to_more:
            schema["additionalProperties"] = False
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            schema[key] = _closed(schema[key])
    return schema
