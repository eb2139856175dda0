"""Files of the charts that are made from something else in the repository: Helm reads nothing outside a chart's folder,
so each chart has copies, and this keeps them in step."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from sandbox.stack.acls import Acl, acls_of, users_of
from sandbox.stack.topics import Topic, load_topics

from tools.chart.places import INFRA, ROOT, SERVICES, STAGECRAFT
from tools.chart.settings_schema import definitions, services_property

_GENERATED = "# Made by `python -m tools.chart --update` from {source}. Do not edit.\n"
_TOPICS = "deploy/kafka/topics.yaml"

# The one service without a clock, a stream or a person waiting for it: it only answers events, and events wake it.
# While it rests its API does not answer and its metrics are absent, which is why it does so only when asked to.
MAY_REST = frozenset({"recommender"})


@dataclass(frozen=True)
class Made:
    """A file as it should be."""

    path: Path
    text: str

    @property
    def in_step(self) -> bool:
        """Whether the file is as it should be."""
        return self.path.exists() and self.path.read_text() == self.text


def made_files() -> list[Made]:
    """Every made file of both charts."""
    topics = load_topics()
    return [
        Made(STAGECRAFT / "files/services.yaml", _GENERATED.format(source=_TOPICS) + _dump(service_facts(topics))),
        Made(INFRA / "files/kafka.yaml", _GENERATED.format(source=_TOPICS) + _dump(kafka_facts(topics))),
        Made(STAGECRAFT / "values.schema.json", schema_text()),
        *(_copy_of_rules(file) for file in sorted((ROOT / "deploy/prometheus").glob("*.yaml"))),
        *(_copy_of_dashboard(file) for file in sorted((ROOT / "deploy/grafana").glob("*.json"))),
    ]


def left_over(made: list[Made]) -> list[Path]:
    """Copies whose original is gone."""
    known = {one.path for one in made}
    copies = [*(STAGECRAFT / "files/prometheus").glob("*"), *(STAGECRAFT / "files/dashboards").glob("*")]
    return sorted(path for path in copies if path not in known)


def service_facts(topics: list[Topic]) -> dict[str, Any]:
    """What the chart must know of each service, so that no values file repeats it."""
    facts = {}
    for service in SERVICES:
        own_dead_letters = f".dlq.{service}"
        read = [t for t in topics if service in t.readers and not t.name.endswith(own_dead_letters)]
        facts[service] = {
            "package": service.replace("-", "_"),
            "mayRest": service in MAY_REST,
            "partitions": max(topic.partitions for topic in read),
            "topics": sorted(topic.name for topic in read),
        }
    return facts


def kafka_facts(topics: list[Topic]) -> dict[str, Any]:
    """Topics and users of the services. Partners differ between installations: values name them."""
    shared = [topic for topic in topics if not topic.partner]
    rights = acls_of(shared)
    return {
        "topics": [
            {"name": topic.name, "partitions": topic.partitions, "config": dict(sorted(topic.configs.items()))}
            for topic in shared
        ],
        "users": [{"name": user, "acls": acls_in_yaml(user, rights)} for user in sorted(users_of(shared))],
        "partner": _partner_facts(topics),
    }


def acls_in_yaml(user: str, rights: set[Acl]) -> list[dict[str, Any]]:
    """The rights of a user as a KafkaUser has them: operations on one resource together."""
    resources = sorted({(a.resource, a.name, a.pattern) for a in rights if a.user == user})
    return [
        {
            "type": kind,
            "name": name,
            "patternType": "prefix" if pattern == "prefixed" else pattern,
            "operations": sorted(
                a.operation for a in rights if (a.user, a.resource, a.name, a.pattern) == (user, kind, name, pattern)
            ),
        }
        for kind, name, pattern in resources
    ]


def _partner_facts(topics: list[Topic]) -> dict[str, Any]:
    """How a partner's topic is made, taken from the first one that is declared."""
    example = next(topic for topic in topics if topic.partner)
    _, tenant, partner = example.partner.split(".")
    return {
        "writer": example.writer,
        "topic": example.name.replace(f".{tenant}.{partner}.", ".{tenant}.{partner}."),
        "user": "partner.{tenant}.{partner}",
        "partitions": example.partitions,
        "config": dict(sorted(example.configs.items())),
    }


def schema_text() -> str:
    """The schema of the values, with its generated part renewed: the rest is written by hand in the same file."""
    file = STAGECRAFT / "values.schema.json"
    schema = json.loads(file.read_text())
    by_hand = {name: part for name, part in schema["$defs"].items() if not name.startswith("settings-of-")}
    schema["$defs"] = by_hand | definitions()
    schema["properties"]["services"] = services_property()
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _copy_of_rules(file: Path) -> Made:
    return Made(STAGECRAFT / "files/prometheus" / file.name, file.read_text())


def _copy_of_dashboard(file: Path) -> Made:
    """Without white space: a release holds each dashboard twice, and may not be larger than a megabyte."""
    return Made(
        STAGECRAFT / "files/dashboards" / file.name, json.dumps(json.loads(file.read_text()), separators=(",", ":"))
    )


def _dump(document: dict[str, Any]) -> str:
    return yaml.safe_dump(document, sort_keys=False, width=120)
