"""The commands of the runbooks, as tests run them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.observability.boards import FAST_LOADER, ROOT, RUNBOOKS

GOLDEN = ROOT / "tests" / "deploy" / "chart"
SECTIONS = ("How to see it", "What it means for users", "What to do", "How to know that it is over")
_FENCE = re.compile(r"^( *)```(.*)$")
# What operators make from a resource of ours: CloudNativePG its instances and services, and what is not ours at all.
_DERIVED = re.compile(r"-(?:rw|ro|r|\d+)$")
_OF_OTHERS = frozenset({"prometheus-operated"})
_KINDS = {
    "deployment": "Deployment",
    "deployments": "Deployment",
    "service": "Service",
    "scaledobject": "ScaledObject",
    "kafkas.kafka.strimzi.io": "Kafka",
    "pod": "Pod",
}


@dataclass(frozen=True)
class Block:
    """A fenced block of a runbook. `language` is `sh` for commands that are run and `sh kubectl` for those that need a
    cluster."""

    runbook: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.runbook}:{self.line}"


def blocks(file: Path) -> list[Block]:
    """Every fenced block of the file."""
    found: list[Block] = []
    inside: list[str] | None = None
    language, indent, start = "", "", 0
    for number, line in enumerate(file.read_text().splitlines(), 1):
        fence = _FENCE.match(line)
        if fence is None:
            if inside is not None:
                inside.append(line.removeprefix(indent))
        elif inside is None:
            inside, indent, language, start = [], fence[1], fence[2].strip(), number
        else:
            found.append(Block(file.stem, start, language, "\n".join(inside)))
            inside = None
    assert inside is None, f"{file.name}:{start}: the block does not end"
    return found


def every_block() -> list[Block]:
    return [block for file in sorted(RUNBOOKS.glob("*.md")) for block in blocks(file)]


def sections(file: Path) -> list[str]:
    """The headings of the second level, in their order."""
    return re.findall(r"^## (.+)$", file.read_text(), re.MULTILINE)


def variables(environment: Mapping[str, str], run_dir: Path, python: str) -> dict[str, str]:
    """What docs/runbooks/README.md says a reader has to set, for an alert about scoring."""
    return {
        **environment,
        "RUN_DIR": str(run_dir),
        "STACK": f"{shlex.quote(python)} -m sandbox.stack --run-dir {shlex.quote(str(run_dir))}",
        "SERVICE": "scoring",
        "SERVICE_URL": environment["SCORING_URL"],
    }


@dataclass(frozen=True)
class ClusterCommand:
    """One kubectl or helm command with its variables filled in."""

    block: Block
    words: tuple[str, ...]

    def __str__(self) -> str:
        return shlex.join(self.words)

    @property
    def program(self) -> str:
        return self.words[0]

    def names(self) -> Iterator[tuple[str, str]]:
        """The resources of ours that it names, as kind and name."""
        words = self.words[: self.words.index("--")] if "--" in self.words else self.words
        for place, word in enumerate(words):
            kind, slash, name = word.partition("/")
            if slash and kind in _KINDS:
                yield _KINDS[kind], name
            elif word in _KINDS and place + 1 < len(words) and not words[place + 1].startswith("-"):
                yield _KINDS[word], words[place + 1]
        if self.words[1] == "exec" or "exec" in words:
            pod = words[words.index("exec") + 1]
            if "/" not in pod:
                yield "Pod", pod


def cluster_commands(service: str) -> list[ClusterCommand]:
    """Every distinct command of the `sh kubectl` blocks, for an alert about this service."""
    found: dict[tuple[str, ...], ClusterCommand] = {}
    for block in every_block():
        if block.language == "sh kubectl":
            for line in block.text.replace("\\\n", " ").splitlines():
                words = tuple(shlex.split(line.replace("$SERVICE", service).replace("$NODE", "node-1")))
                found.setdefault(words, ClusterCommand(block, words))
    return list(found.values())


def _manifests() -> list[dict[str, Any]]:
    """Every manifest of the committed renderings."""
    texts = (file.read_text() for file in sorted(GOLDEN.glob("*.yaml")))
    documents = (document for text in texts for document in yaml.load_all(text, Loader=FAST_LOADER))
    return [document for document in documents if isinstance(document, dict) and "kind" in document]


@cache
def rendered() -> frozenset[tuple[str, str]]:
    """Kind and name of everything that the two charts render, by the committed renderings."""
    return frozenset((document["kind"], document["metadata"]["name"]) for document in _manifests())


@cache
def components() -> frozenset[str]:
    """The values of the label app.kubernetes.io/component of pods."""
    return frozenset(
        document["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"]
        for document in _manifests()
        if document["kind"] == "Deployment"
    )


def is_rendered(kind: str, name: str) -> bool:
    """Whether there is such a resource, or one from which an operator makes it."""
    if name in _OF_OTHERS or (kind, name) in rendered():
        return True
    return kind in ("Pod", "Service") and ("Cluster", _DERIVED.sub("", name)) in rendered()
