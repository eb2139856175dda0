"""Write deploy/compose/topics.json, the topics of deploy/kafka/topics.yaml in the form that needs no parser of YAML,
which the images do not have; with --check, say whether it is in step."""

import argparse
import json
import sys
from pathlib import Path

from sandbox.stack.topics import load_topics

TARGET = Path(__file__).resolve().parent.parent / "deploy/compose/topics.json"


def generate() -> str:
    """The document: names, partitions and configurations, dead letters and partners included."""
    topics = [{"name": t.name, "partitions": t.partitions, "configs": t.configs} for t in load_topics()]
    return "[\n" + ",\n".join(f"  {json.dumps(topic)}" for topic in topics) + "\n]\n"


def main() -> int:
    """1 when the file is not in step."""
    parser = argparse.ArgumentParser(description=__doc__, epilog="example: .venv/bin/python tools/compose.py --check")
    parser.add_argument("--check", action="store_true", help="write nothing")
    if not parser.parse_args().check:
        TARGET.write_text(generate())
        return 0
    if not TARGET.exists() or TARGET.read_text() != generate():
        sys.stderr.write(f"{TARGET.name} is not in step with topics.yaml: run tools/compose.py\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
