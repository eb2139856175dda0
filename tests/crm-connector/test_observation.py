"""Echo or news, and what a change makes of what was known."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, cast

import pytest
from crm_connector.domain.fields import UNKNOWN, FactType, kept
from crm_connector.domain.observation import (
    ECHO_PATIENCE,
    ChangeKind,
    CrmChange,
    CrmRecord,
    Effect,
    FactChanges,
    Facts,
    Known,
    ObservationKind,
    fold,
    fold_record,
    hides_stage,
    is_echo,
    is_other,
    kind_of_read,
    needs_read,
    of_first_sight,
    since_written,
    written,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st

NOW = datetime(2026, 11, 22, 19, 0, 5, tzinfo=UTC)


def amount(number: int) -> str:
    return kept(Decimal(number), FactType.MONEY)


def facts_of(stage: str, amount: str, owner_id: str = "") -> Facts:
    return Facts(stage, owner_id, {AMOUNT: amount})


def after(before: Facts, changes: dict[str, Any]) -> Facts:
    """The facts with the changes."""
    fields = {**before.fields, AMOUNT: changes["amount"]} if "amount" in changes else before.fields
    return replace(before, stage=changes.get("stage", before.stage), fields=fields)


AMOUNT = "opportunity.amount"
KNOWN = Known(facts_of("Prospecting", amount(10), "005A"))
SENT = {"StageName": "Discovery", "Stagecraft_Write_Id__c": "w1"}


def change(kind: ChangeKind = ChangeKind.UPDATED, *, write_id: str = "", at: datetime = NOW, **facts: Any) -> CrmChange:
    names = {"stage": "StageName", "amount": "Amount", "owner_id": "OwnerId"}
    fields = {names[name]: value for name, value in facts.items()}
    mapped = {AMOUNT: facts.pop("amount")} if "amount" in facts else {}
    return CrmChange("tx:1:006", "006", kind, at, "005B", write_id, fields, cast(FactChanges, facts), mapped)


def record(stage: str, *, at: datetime = NOW, write_id: str = "", deleted: bool = False) -> CrmRecord:
    return CrmRecord("006", Facts(stage), at, "005B", write_id, deleted)


class TestEcho:
    def test_our_write_alone_is_an_echo(self) -> None:
        assert is_echo(change(write_id="w1", stage="Discovery"), SENT)

    def test_without_the_ledger_nothing_is_an_echo(self) -> None:
        assert not is_echo(change(write_id="w1", stage="Discovery"), None)

    @pytest.mark.parametrize(
        "facts", [{"amount": amount(5)}, {"stage": "Demo"}, {"stage": "Discovery", "amount": UNKNOWN}]
    )
    def test_what_a_flow_adds_in_the_same_transaction_is_news(self, facts: dict[str, Any]) -> None:
        assert not is_echo(change(write_id="w1", **facts), SENT)

    def test_answers_alone_change_nothing_we_follow(self) -> None:
        assert is_echo(change(write_id="w1"), {"Stagecraft_Write_Id__c": "w1"})

    def test_what_the_crm_derives_from_our_stage_is_taken_in_silently(self) -> None:
        echo = replace(change(write_id="w1", stage="Discovery"), mapped={"opportunity.probability": "number:25"})
        effect = fold(KNOWN, echo, SENT)
        assert effect.kind is None
        assert effect.known.facts is not None
        assert effect.known.facts.fields["opportunity.probability"] == "number:25"

    def test_only_the_foreign_part_is_named(self) -> None:
        effect = fold(KNOWN, change(write_id="w1", stage="Discovery", amount=amount(5)), SENT)
        assert effect.kind is ObservationKind.UPDATED
        assert effect.changed == (AMOUNT,)
        assert effect.known.facts == facts_of("Discovery", amount(5), "005A")

    def test_a_pure_echo_is_taken_in_silently(self) -> None:
        effect = fold(KNOWN, change(write_id="w1", stage="Discovery"), SENT)
        assert effect.kind is None
        assert effect.known.facts == replace(KNOWN.facts or Facts(""), stage="Discovery")


class TestFold:
    def test_no_change_of_facts_is_no_news(self) -> None:
        assert fold(KNOWN, change(stage="Prospecting"), None).kind is None

    def test_the_first_observation_of_a_new_record(self) -> None:
        effect = fold(Known(), change(ChangeKind.CREATED, stage="Demo", amount=amount(1)), None)
        assert effect.kind is ObservationKind.CREATED
        assert effect.known.facts == facts_of("Demo", amount(1))

    def test_a_record_that_our_own_write_made_is_new_too(self) -> None:
        made = change(ChangeKind.CREATED, write_id="w1", stage="Discovery")
        assert is_echo(made, SENT)
        assert fold(Known(), made, SENT).kind is ObservationKind.CREATED

    def test_a_change_from_before_the_last_read_is_contained_in_it(self) -> None:
        known = replace(KNOWN, state_at=NOW)
        effect = fold(known, change(at=NOW - timedelta(seconds=1), stage="Demo"), None)
        assert (effect.kind, effect.known) == (None, known)

    def test_a_change_within_the_second_of_the_last_read_is_applied(self) -> None:
        effect = fold(replace(KNOWN, state_at=NOW), change(at=NOW + timedelta(milliseconds=1), stage="Demo"), None)
        assert effect.kind is ObservationKind.UPDATED

    def test_deletion_is_published_once(self) -> None:
        first = fold(KNOWN, change(ChangeKind.DELETED), None)
        assert first.kind is ObservationKind.DELETED
        assert fold(first.known, change(ChangeKind.DELETED), None).kind is None

    def test_until_our_write_comes_back_older_stages_do_not_count(self) -> None:
        known = written(KNOWN, "Discovery", "w1", NOW)
        late = fold(known, change(stage="Prospecting", amount=amount(11)), None)
        assert late.known.facts == facts_of("Discovery", amount(11), "005A")
        echo = fold(late.known, change(write_id="w1", stage="Discovery"), SENT)
        assert (echo.kind, echo.known.awaited) == (None, "")
        person = fold(echo.known, change(stage="Demo"), None)
        assert person.kind is ObservationKind.UPDATED
        assert person.known.facts is not None
        assert person.known.facts.stage == "Demo"

    def test_an_echo_that_never_comes_does_not_hide_people_for_ever(self) -> None:
        known = written(KNOWN, "Discovery", "w1", NOW)
        assert fold(known, change(at=NOW + ECHO_PATIENCE, stage="Demo"), None).kind is ObservationKind.UPDATED

    def test_before_the_first_observation_a_write_teaches_no_facts(self) -> None:
        assert written(Known(), "Discovery", "w1", NOW).facts is None


class TestNeedsRead:
    @pytest.mark.parametrize("kind", [ChangeKind.GAP, ChangeKind.UNDELETED])
    def test_without_details(self, kind: ChangeKind) -> None:
        assert needs_read(KNOWN, change(kind))

    def test_of_what_was_never_seen(self) -> None:
        assert needs_read(Known(), change(amount=amount(1)))
        assert not needs_read(Known(), change(ChangeKind.CREATED))

    def test_of_what_belongs_to_another_account_now(self) -> None:
        assert needs_read(KNOWN, replace(change(), incomplete=True))

    def test_of_our_write_of_a_stage_that_came_back_without_it(self) -> None:
        assert hides_stage(change(write_id="w1", amount=amount(1)), "Discovery")
        assert not hides_stage(change(write_id="w1", stage="Discovery"), "Discovery")
        assert not hides_stage(change(write_id="w1", amount=amount(1)), None)

    def test_not_of_what_is_known(self) -> None:
        assert not needs_read(KNOWN, change(amount=amount(1)))


class TestRecord:
    def test_first_and_again(self) -> None:
        first = fold_record(Known(), record("Demo"), ObservationKind.IMPORTED)
        assert (first.kind, first.changed) == (ObservationKind.IMPORTED, ())
        assert fold_record(first.known, record("Demo"), ObservationKind.IMPORTED).kind is None

    @pytest.mark.parametrize("kind", [ObservationKind.IMPORTED, ObservationKind.UPDATED])
    def test_what_a_read_shows_first_that_was_made_since_we_follow_is_new(self, kind: ObservationKind) -> None:
        since, later = NOW, NOW + timedelta(seconds=1)
        made = replace(record("Demo"), created_at=later)
        assert kind_of_read(Known(), made, kind, since) is ObservationKind.CREATED
        assert kind_of_read(Known(), replace(made, created_at=since), kind, since) is ObservationKind.CREATED
        assert kind_of_read(Known(), replace(made, created_at=since - timedelta(seconds=1)), kind, since) is kind
        assert kind_of_read(Known(), replace(made, created_at=None), kind, since) is kind
        assert kind_of_read(Known(), made, kind, None) is kind
        assert kind_of_read(KNOWN, made, kind, since) is kind

    def test_what_crosses_a_write_is_that_and_so_is_what_is_undeleted_once_it_was_shown(self) -> None:
        made, since = replace(record("Demo"), created_at=NOW), NOW - timedelta(days=1)
        for kind in (ObservationKind.CONFLICT, ObservationKind.CREATED):
            assert kind_of_read(Known(), made, kind, since) is kind
        assert kind_of_read(KNOWN, made, ObservationKind.UNDELETED, since) is ObservationKind.UNDELETED
        later = NOW + timedelta(seconds=1)
        assert kind_of_read(Known(), made, ObservationKind.CREATED, later) is ObservationKind.IMPORTED
        assert kind_of_read(Known(), made, ObservationKind.UNDELETED, later) is ObservationKind.UNDELETED

    def test_what_was_made_before_its_type_was_followed_is_imported_also_when_a_late_change_tells_of_it(self) -> None:
        told = fold(Known(), change(ChangeKind.CREATED, stage="Demo"), None)
        for since in (None, NOW - timedelta(seconds=1), NOW):
            assert of_first_sight(told, NOW, since).kind is ObservationKind.CREATED
        assert of_first_sight(told, NOW, NOW + timedelta(seconds=1)).kind is ObservationKind.IMPORTED
        edited = fold(KNOWN, change(stage="Demo"), None)
        assert of_first_sight(edited, NOW, NOW + timedelta(seconds=1)) is edited

    @pytest.mark.parametrize("told", [True, False])
    def test_a_new_record_that_was_deleted_before_anyone_saw_it_is_new_when_it_comes_back(self, told: bool) -> None:
        """Deleting it at once would else lead round the gates of a new record. `told`: its deletion came as a change,
        else it was read."""
        if told:
            known = fold(Known(), change(ChangeKind.DELETED), None).known
        else:
            known = fold_record(Known(), record("Demo", deleted=True), ObservationKind.CREATED).known
        back = replace(record("Demo", at=NOW + timedelta(seconds=1)), created_at=NOW)
        kind = kind_of_read(known, back, ObservationKind.UNDELETED, NOW - timedelta(days=1))
        effect = fold_record(known, back, kind)
        assert (effect.kind, effect.known.deleted) == (ObservationKind.CREATED, False)

    def test_a_difference_is_named(self) -> None:
        effect = fold_record(Known(Facts("Demo")), record("Discovery"), ObservationKind.UPDATED)
        assert (effect.kind, effect.changed) == (ObservationKind.UPDATED, ("stage",))

    def test_a_fact_that_is_read_from_now_on_is_news_only_if_it_is_known(self) -> None:
        known = Known(Facts("Demo"))
        unknown, found = (replace(record("Demo"), facts=facts_of("Demo", text)) for text in (UNKNOWN, amount(5)))
        assert fold_record(known, unknown, ObservationKind.IMPORTED).kind is None
        effect = fold_record(known, found, ObservationKind.IMPORTED)
        assert (effect.kind, effect.changed) == (ObservationKind.IMPORTED, (AMOUNT,))

    def test_an_older_read_does_not_count(self) -> None:
        known = replace(KNOWN, state_at=NOW)
        old = record("Demo", at=NOW - timedelta(seconds=1))
        assert fold_record(known, old, ObservationKind.UPDATED).known == known

    def test_a_deleted_record_that_was_known(self) -> None:
        effect = fold_record(KNOWN, record("Prospecting", deleted=True), ObservationKind.UPDATED)
        assert effect.kind is ObservationKind.DELETED
        assert fold_record(effect.known, record("Demo", deleted=True), ObservationKind.UPDATED).kind is None

    def test_a_deleted_record_that_was_unknown_is_no_news(self) -> None:
        assert fold_record(Known(), record("Demo", deleted=True), ObservationKind.UPDATED).kind is None

    def test_a_read_that_shows_our_write_is_its_echo(self) -> None:
        known = written(KNOWN, "Discovery", "w1", NOW)
        effect = fold_record(known, record("Demo", write_id="w1"), ObservationKind.UPDATED)
        assert effect.known.awaited == ""
        assert effect.kind is ObservationKind.UPDATED


stages = st.sampled_from(["A", "B", "C"])
amounts = st.sampled_from([UNKNOWN, amount(1), amount(2)])
steps = st.lists(st.fixed_dictionaries({}, optional={"stage": stages, "amount": amounts}), max_size=20)


@given(steps)
def test_facts_follow_the_stream_and_only_differences_are_published(sequence: list[dict[str, Any]]) -> None:
    known = Known(Facts("A"))
    for number, facts in enumerate(sequence):
        effect = fold(known, change(at=NOW + timedelta(seconds=number), **facts), None)
        assert known.facts is not None
        expected = after(known.facts, facts)
        assert effect.known.facts == expected
        assert (effect.kind is not None) == is_other(known.facts, expected)
        known = effect.known


@given(steps, st.integers(0, 20))
def test_a_stream_read_twice_ends_in_the_same_facts(sequence: list[dict[str, Any]], again_from: int) -> None:
    changes = [change(at=NOW + timedelta(seconds=n), **facts) for n, facts in enumerate(sequence)]
    once = Known(Facts("A"))
    for item in changes:
        once = fold(once, item, None).known
    twice = once
    for item in changes[again_from:]:
        twice = fold(twice, item, None).known
    touched = {name for facts in sequence[again_from:] for name in facts}
    assert twice.facts is not None
    assert once.facts is not None
    if "stage" in touched:
        assert twice.facts.stage == once.facts.stage
    if "amount" in touched:
        assert twice.facts.fields == once.facts.fields


class Crm:
    """One opportunity in the CRM, our two connections to it, and what we know: each act takes a second. A write goes
    through where the stage is the one we know. It is confirmed, or its echo comes first."""

    def __init__(self) -> None:
        self.stage, self.modified_at, self.write_id = "A", NOW, ""
        self.stream: list[CrmChange] = []
        self.now = NOW
        self.known = Known(Facts("A"), state_at=NOW)
        self.published = "A"
        self.unconfirmed: CrmChange | None = None
        self.being_read: CrmRecord | None = None

    def act(self, name: str, stage: str) -> None:
        self.now += timedelta(seconds=1)
        getattr(self, name)(stage)

    def _commit(self, stage: str, write_id: str = "") -> None:
        facts: dict[str, Any] = {} if stage == self.stage else {"stage": stage}
        self.stage, self.modified_at, self.write_id = stage, self.now, write_id or self.write_id
        self.stream.append(change(at=self.now, write_id=write_id, **facts))

    def edit(self, stage: str) -> None:
        self._commit(stage)

    def answer(self, _: str) -> None:
        self._commit(self.stage, f"{self.now} answers")

    def write(self, stage: str) -> None:
        assert self.known.facts is not None
        if self.unconfirmed is None and stage != self.stage == self.known.facts.stage:
            self._commit(stage, f"{self.now} {stage}")
            self.unconfirmed = self.stream[-1]

    def confirm(self, _: str) -> None:
        if self.unconfirmed is not None:
            self.published = self.unconfirmed.facts.get("stage", "")
            self.known = written(self.known, self.published, self.unconfirmed.write_id, self.now)
            self.unconfirmed = None

    def deliver(self, _: str) -> None:
        # One task reads and follows the stream; what comes in between is a reply to the other one that writes.
        if self.stream and self.being_read is None:
            came = self.stream.pop(0)
            sent = {"StageName": came.facts.get("stage")} if came.write_id else None
            self._take(fold(self.known, came, sent), came.write_id)

    def begin_read(self, _: str) -> None:
        self.being_read = CrmRecord("006", Facts(self.stage), self.modified_at, "005B", self.write_id)

    def end_read(self, _: str) -> None:
        if self.being_read is not None:
            self._take(fold_record(self.known, self.being_read, ObservationKind.UPDATED), self.being_read.write_id)
            self.being_read = None

    def _take(self, effect: Effect, shown: str) -> None:
        if self.unconfirmed is not None and self.unconfirmed.write_id == shown:
            self.published, self.unconfirmed = self.unconfirmed.facts.get("stage", ""), None
            effect = since_written(effect, self.published)
        self.known = effect.known
        if effect.kind is not None and effect.known.facts is not None:
            self.published = effect.known.facts.stage


acts = st.sampled_from(["edit", "answer", "write", "confirm", "deliver", "begin_read", "end_read"])


@settings(max_examples=1000)
@given(st.lists(st.tuples(acts, stages), max_size=25))
@example([("write", "B"), ("confirm", ""), ("edit", "A"), ("answer", ""), ("begin_read", ""), ("end_read", "")])
def test_whatever_is_read_in_between_the_end_of_the_stream_is_what_the_crm_holds(story: list[tuple[str, str]]) -> None:
    crm = Crm()
    for act, stage in story:
        crm.act(act, stage)
    crm.act("end_read", "")
    crm.act("confirm", "")
    while crm.stream:
        crm.act("deliver", "")
    assert crm.known.facts == Facts(crm.stage)
    assert crm.published == crm.stage
