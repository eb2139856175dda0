"""Write docs/asyncapi.yaml (AsyncAPI 3.0) from the event registry and deploy/kafka/topics.yaml; with --check, say
whether it is in step. topics.yaml says which service sends and which receive; proto/ says what an event holds."""

import argparse
import sys
from pathlib import Path
from typing import Any

import yaml
from kit.contracts.events import CONTENT_TYPE, EventType, registry

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs/asyncapi.yaml"
TOPICS = ROOT / "deploy/kafka/topics.yaml"
PROTO = ROOT / "proto"

SCHEMA_FORMAT = "application/vnd.google.protobuf;version=3"
SERVER = {
    "host": "kafka.example.com:9094",
    # The validator of documents demands it, though a broker has none.
    "pathname": "",
    "protocol": "kafka-secure",
    "protocolVersion": "4.0",
    "description": "Your Stagecraft operator tells you the address, a user and a password. The user may read only your "
    "topic, in consumer groups whose names begin with the user and a dot, such as partner.acme.northwind.orders; "
    "another group is refused with GROUP_AUTHORIZATION_FAILED. Clients on librdkafka (kcat, confluent-kafka) "
    "need version 2.6.1 or newer: older ones cannot log in to this broker and report a wrong password.",
    "security": [{"$ref": "#/components/securitySchemes/scram"}],
}
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


def payload_of(kind: EventType) -> dict[str, Any]:
    """Where the message is declared: its file, from which every language generates a reader."""
    file = kind.message.DESCRIPTOR.file.name
    return {"schemaFormat": SCHEMA_FORMAT, "schema": {"$ref": f"../proto/{file}"}}


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
            "payload": payload_of(kind),
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
            "and in order per aggregate: drop an event whose ce_id you have seen. "
            "A value is the bytes of one protobuf message, which ce_type names; "
            "generate a reader from its file in proto/.",
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": {"broker": SERVER},
        "channels": channels,
        "operations": operations,
        "components": {
            "securitySchemes": {"scram": {"type": "scramSha512"}},
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
