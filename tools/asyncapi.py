"""Write docs/asyncapi.yaml (AsyncAPI 3.0) from the event registry and deploy/kafka/topics.yaml; with --check, say
whether it is in step. topics.yaml says which service sends and which receive; proto/ says what an event holds."""

import argparse
import sys
from pathlib import Path
from typing import Any

import yaml
from google.protobuf.descriptor import FieldDescriptor
from kit.events import CONTENT_TYPE, EventType, registry

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs/asyncapi.yaml"
TOPICS = ROOT / "deploy/kafka/topics.yaml"
PROTO = ROOT / "proto"

_INTEGERS = {FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_UINT32}
_HEADERS = {
    "ce_id": "Unique; the same id is the same event, however often it arrives",
    "ce_source": "Which service sent it",
    "ce_type": "Full name of the protobuf message",
    "ce_time": "When it happened, RFC 3339, UTC",
    "ce_subject": "Id of the aggregate",
    "ce_sequence": "Version of the aggregate that this event made; orders the events of one aggregate",
    "ce_tenantid": "Whose event it is",
    "ce_traceparent": "W3C trace context",
}


def comment_of(kind: EventType) -> str:
    """The comment above the message in its .proto file, in one line."""
    lines = (PROTO / kind.message.DESCRIPTOR.file.name).read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"message {kind.message.DESCRIPTOR.name} "))
    found: list[str] = []
    while lines[start - 1].startswith("//"):
        start -= 1
        found.insert(0, lines[start].removeprefix("//").strip())
    return " ".join(found)


def field_schema(field: FieldDescriptor) -> dict[str, Any]:
    """JSON Schema of a field in the protobuf JSON mapping with original names."""
    if field.message_type is not None:
        if field.message_type.full_name == "google.protobuf.Timestamp":
            schema: dict[str, Any] = {"type": "string", "format": "date-time"}
        else:
            schema = message_schema(field.message_type)
    elif field.enum_type is not None:
        schema = {"type": "string", "enum": [value.name for value in field.enum_type.values]}
    elif field.type in _INTEGERS:
        schema = {"type": "integer"}
    else:
        names = {FieldDescriptor.TYPE_BOOL: "boolean", FieldDescriptor.TYPE_DOUBLE: "number"}
        schema = {"type": names.get(field.type, "string")}
    return {"type": "array", "items": schema} if field.is_repeated else schema


def message_schema(message: Any) -> dict[str, Any]:
    """JSON Schema of a message."""
    return {"type": "object", "properties": {field.name: field_schema(field) for field in message.fields}}


def generate() -> str:
    """The document as it is committed."""
    topics = {t["name"]: t for t in yaml.safe_load(TOPICS.read_text())["topics"]}
    messages, channels, operations = {}, {}, {}
    for kind in sorted(registry().values(), key=lambda k: k.topic):
        name, topic = kind.message.DESCRIPTOR.name, topics[kind.topic]
        messages[name] = {
            "name": kind.name,
            "title": name,
            "summary": comment_of(kind),
            "contentType": CONTENT_TYPE,
            "headers": {"$ref": "#/components/schemas/CloudEventHeaders"},
            "payload": message_schema(kind.message.DESCRIPTOR),
            "bindings": {"kafka": {"key": {"type": "string", "description": f"tenant:{kind.aggregate_field}"}}},
        }
        channels[name] = {
            "address": kind.topic,
            "messages": {name: {"$ref": f"#/components/messages/{name}"}},
            "bindings": {"kafka": {"topic": kind.topic, "partitions": topic["partitions"]}},
        }
        reference = {"channel": {"$ref": f"#/channels/{name}"}}
        operations[f"{topic['writer']}.send.{name}"] = {"action": "send", **reference}
        for reader in topic["readers"]:
            operations[f"{reader}.receive.{name}"] = {"action": "receive", **reference}
    channels["PartnerStageChanged"] = {
        "address": "stagecraft.partner.{tenant}.{partner}.stage-changed.v1",
        "description": "One topic for each partner: every StageChanged of one tenant, and nothing else.",
        "parameters": {"tenant": {"description": "The tenant"}, "partner": {"description": "The partner"}},
        "messages": {"StageChanged": {"$ref": "#/components/messages/StageChanged"}},
    }
    operations["stage-engine.send.PartnerStageChanged"] = {
        "action": "send",
        "channel": {"$ref": "#/channels/PartnerStageChanged"},
    }
    headers = {name: {"type": "string", "description": text} for name, text in _HEADERS.items()}
    document = {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Stagecraft events",
            "version": "1.0.0",
            "description": "CloudEvents 1.0 in Kafka's binary mode with protobuf values. Delivery is at least once "
            "and in order per aggregate: drop an event whose ce_id you have seen.",
        },
        "defaultContentType": CONTENT_TYPE,
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": messages,
            "schemas": {"CloudEventHeaders": {"type": "object", "properties": headers}},
        },
    }
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, epilog="example: python tools/asyncapi.py --check")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 when out of step")
    text = generate()
    if parser.parse_args().check:
        if not TARGET.exists() or TARGET.read_text() != text:
            sys.stderr.write(f"{TARGET.relative_to(ROOT)} is out of step: run `make asyncapi`\n")
            return 1
    else:
        TARGET.write_text(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
