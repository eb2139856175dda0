"""Who may do what on the broker, derived from deploy/kafka/topics.yaml. The broker refuses everything else.

A service logs in under its own name, a partner as `partner.<tenant>.<partner>`. In Kafka 4 the right to write a topic
is all an idempotent producer needs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sandbox.stack.topics import Topic


@dataclass(frozen=True, order=True)
class Acl:
    """`user` may do `operation` to the topics or groups of that name, or of that prefix; from any host."""

    user: str
    resource: str
    name: str
    pattern: str
    operation: str


def acls_of(topics: Iterable[Topic]) -> set[Acl]:
    """Every right, in Kafka's own words."""
    acls: set[Acl] = set()
    for topic in topics:
        acls |= {Acl(topic.writer, "topic", topic.name, "literal", right) for right in ("Write", "Describe")}
        for user in topic.users:
            acls |= {Acl(user, "topic", topic.name, "literal", right) for right in ("Read", "Describe")}
        acls |= {Acl(group, "group", group, "literal", "Read") for group in topic.readers}
        if topic.partner:
            # The dot keeps the groups of `north` and `northwind` apart; names of partners hold none.
            acls.add(Acl(topic.partner, "group", f"{topic.partner}.", "prefixed", "Read"))
    return acls


def users_of(topics: Iterable[Topic]) -> set[str]:
    """Every user that needs a login."""
    return {user for topic in topics for user in (topic.writer, *topic.users)}
