"""The settings of each service as JSON Schema, taken from the classes that read them.

Secrets are among them, so that the chart can say where they belong instead of calling them unknown.
"""

import importlib
from typing import Any

from kit.settings import ServiceSettings

from tools.chart.places import SERVICES

Json = dict[str, Any]

_COMMON = "settings-of-all"
# Keys of a Python type's JSON Schema that do not matter in a values file.
_KEPT = ("type", "enum", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "pattern", "minLength")


def settings_of(service: str) -> type[ServiceSettings]:
    """The class that reads the settings of a service."""
    return importlib.import_module(f"{service.replace('-', '_')}.settings").Settings


def variables_of(settings: type[ServiceSettings]) -> dict[str, Json]:
    """Every environment variable of a service with the schema of its value."""
    properties = settings.model_json_schema()["properties"]
    return {name.upper(): _schema(properties[name]) for name in sorted(properties)}


def definitions() -> dict[str, Json]:
    """The generated part of `$defs`: what all services have, and what each has, refering to the former."""
    common = variables_of(ServiceSettings)
    found = {_COMMON: _closed("Environment variables that every service has.", common)}
    for service in SERVICES:
        own = {
            name: schema if schema != common.get(name) else {"$ref": f"#/$defs/{_COMMON}/properties/{name}"}
            for name, schema in variables_of(settings_of(service)).items()
        }
        found[f"settings-of-{service}"] = _closed(f"Environment variables of {service}.", own)
    return found


def services_property() -> Json:
    """The generated schema of `services`: one entry a service, with settings of its own."""
    return {
        "type": "object",
        "description": "What differs from `defaults`, for each service.",
        "additionalProperties": False,
        "properties": {service: _entry(service) for service in SERVICES},
    }


def _entry(service: str) -> Json:
    own: Json = {"settings": {"$ref": f"#/$defs/settings-of-{service}"}}
    if service != "crm-connector":
        # Only the connector knows Salesforce.
        own["salesforce"] = False
    return {"$ref": "#/$defs/service", "properties": own}


def _closed(description: str, properties: dict[str, Json]) -> Json:
    return {
        "type": "object",
        "description": description,
        "additionalProperties": False,
        "properties": properties,
    }


def _schema(field: Json) -> Json:
    """Of a setting that may be absent, the schema of one that is there."""
    shown = next((branch for branch in field.get("anyOf", []) if branch.get("type") != "null"), field)
    schema = {key: shown[key] for key in _KEPT if key in shown}
    if "const" in shown:
        schema["enum"] = [shown["const"]]
    words = field.get("description", "")
    default = field.get("default")
    if default not in (None, "") and field.get("format") != "password":
        words = f"{words}; default {default}" if words else f"default {default}"
    return schema | ({"description": words} if words else {})
