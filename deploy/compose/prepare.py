"""Creates what the services find when they start: databases with their roles, topics, and the local issuer's keys.

Runs inside the image of a service, which has everything it needs. What exists already stays as it is, so it can run
before every start.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from sandbox.issuer import LocalIssuer
from sandbox.provision import provision_database

PACKAGES = ("assessment", "scoring", "stage_engine", "crm_connector", "recommender")
TOPICS = Path(__file__).with_name("topics.json")
ISSUER = Path(os.environ.get("ISSUER_DIRECTORY", "/issuer"))


async def create_topics(bootstrap_servers: str) -> list[str]:
    """The names of those that were missing."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        present = set(await admin.list_topics())
        missing = [topic for topic in json.loads(TOPICS.read_text()) if topic["name"] not in present]
        if not missing:
            return []
        response = await admin.create_topics(
            [NewTopic(topic["name"], topic["partitions"], 1, topic_configs=topic["configs"]) for topic in missing]
        )
    finally:
        await admin.close()
    errors = response.topic_errors  # pyright: ignore[reportAttributeAccessIssue] - comes from the schema
    refused = [f"{name}: {message}" for name, code, message in errors if code]
    if refused:
        raise SystemExit("the broker refuses topics: " + "; ".join(refused))
    return [topic["name"] for topic in missing]


def main() -> None:
    """Each step says what it did."""
    password = os.environ["SERVICE_PASSWORD"]
    for package in PACKAGES:
        provision_database(os.environ["POSTGRES_ADMIN_URL"], package, app_password=password, owner_password=password)
        sys.stdout.write(f"database {package}: ready\n")
    created = asyncio.run(create_topics(os.environ["KAFKA_BOOTSTRAP_SERVERS"]))
    sys.stdout.write(f"topics: {len(created)} created\n")
    LocalIssuer(ISSUER)
    sys.stdout.write(f"keys of the local issuer: {ISSUER}\n")


if __name__ == "__main__":
    main()
