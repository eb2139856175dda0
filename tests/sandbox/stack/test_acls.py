"""Rights derived from topics: those of the file, and those of any topics one could think of."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from sandbox.stack.acls import Acl, acls_of, users_of
from sandbox.stack.services import SERVICES
from sandbox.stack.topics import TOPICS_FILE, Topic, load_topics

# Names that begin like each other, where a prefix could let one into another's.
NAMES = st.sampled_from(["a", "b", "ab", "a-b", "a.b"])
PARTNERS = st.sampled_from(["", "partner.a.b", "partner.a.bc", "partner.ab.c"])
TOPICS = st.lists(
    st.builds(
        Topic,
        name=NAMES,
        partitions=st.just(1),
        writer=st.sampled_from(SERVICES),
        readers=st.sets(st.sampled_from(SERVICES)).map(tuple),
        partner=PARTNERS,
    ),
    unique_by=lambda topic: topic.name,
)


def may(acls: set[Acl], user: str, operation: str, resource: str, name: str) -> bool:
    """As the broker decides."""
    return any(
        (acl.user, acl.operation, acl.resource) == (user, operation, resource)
        and (acl.name == name or (acl.pattern == "prefixed" and name.startswith(acl.name)))
        for acl in acls
    )


@given(TOPICS)
def test_nobody_writes_a_topic_but_its_writer_and_nobody_reads_it_but_its_readers(topics: list[Topic]) -> None:
    acls = acls_of(topics)
    for user in users_of(topics):
        for topic in topics:
            assert may(acls, user, "Write", "topic", topic.name) == (user == topic.writer)
            assert may(acls, user, "Read", "topic", topic.name) == (user in topic.users)


@given(TOPICS)
def test_groups_are_their_owners_alone(topics: list[Topic]) -> None:
    acls, users = acls_of(topics), users_of(topics)
    for user in users:
        for owner in users:
            for group in (owner, f"{owner}.reporting"):
                reader = group == user and any(user in topic.readers for topic in topics)
                partner = group == f"{user}.reporting" and any(user == topic.partner for topic in topics)
                assert may(acls, user, "Read", "group", group) == (reader or partner)


@given(TOPICS)
def test_there_are_no_rights_to_change_anything_else(topics: list[Topic]) -> None:
    for acl in acls_of(topics):
        assert (acl.resource, acl.operation) in {
            ("topic", "Write"), ("topic", "Read"), ("topic", "Describe"), ("group", "Read"),
        }  # fmt: skip
        assert acl.pattern == "literal" or acl.resource == "group"


def test_the_file_gives_every_service_and_partner_a_user() -> None:
    assert users_of(load_topics()) == {*SERVICES, "partner.acme.northwind"}


def test_a_partner_may_read_one_topic_in_groups_of_its_own_and_no_more() -> None:
    topic, partner = "stagecraft.partner.acme.northwind.stage-changed.v1", "partner.acme.northwind"
    assert {acl for acl in acls_of(load_topics()) if acl.user == partner} == {
        Acl(partner, "topic", topic, "literal", "Read"),
        Acl(partner, "topic", topic, "literal", "Describe"),
        Acl(partner, "group", "partner.acme.northwind.", "prefixed", "Read"),
    }


def test_a_partner_whose_name_would_open_another_ones_groups_is_refused(tmp_path) -> None:
    document = yaml.safe_load(TOPICS_FILE.read_text())
    document["partners"].append(document["partners"][0] | {"partner": "northwind.labs"})
    file = tmp_path / "topics.yaml"
    file.write_text(yaml.safe_dump(document))
    with pytest.raises(ValueError, match=r"northwind\.labs"):
        load_topics(file)
