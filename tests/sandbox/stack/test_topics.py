"""deploy/kafka/topics.yaml against the contracts and the services."""

from kit.contracts.events import registry
from sandbox.stack.services import SERVICES
from sandbox.stack.topics import load_topics

TOPICS = {topic.name: topic for topic in load_topics()}
FACTS = [topic for topic in TOPICS.values() if ".dlq." not in topic.name and ".partner." not in topic.name]


def test_every_event_has_its_topic_and_every_topic_its_event() -> None:
    assert {topic.name for topic in FACTS} == {event.topic for event in registry().values()}


def test_names_are_unique() -> None:
    assert len(load_topics()) == len(TOPICS)


def test_only_services_write_and_read() -> None:
    for topic in TOPICS.values():
        assert topic.writer in SERVICES
        assert set(topic.readers) <= set(SERVICES)


def test_every_reader_has_its_own_dead_letters() -> None:
    for fact in FACTS:
        for group in fact.readers:
            letters = TOPICS[f"{fact.name}.dlq.{group}"]
            assert (letters.partitions, letters.writer, letters.readers) == (1, group, (group,))
    assert len(TOPICS) == len(FACTS) + sum(len(fact.readers) for fact in FACTS) + 1


def test_definitions_are_kept_for_ever_and_facts_for_a_week() -> None:
    for fact in FACTS:
        if fact.name.endswith("published.v1") or fact.name == "stagecraft.crm.person-observed.v1":
            assert (fact.partitions, fact.configs["retention.ms"]) == (1, "-1")
        else:
            assert fact.partitions == 4
            assert fact.configs["retention.ms"] == str(7 * 24 * 3600 * 1000)
        assert fact.configs["cleanup.policy"] == "delete"


def test_a_partner_reads_a_topic_of_its_own() -> None:
    topic = TOPICS["stagecraft.partner.acme.northwind.stage-changed.v1"]
    assert (topic.writer, topic.partitions, topic.readers) == ("stage-engine", 4, ())
