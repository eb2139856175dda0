"""What an opportunity teaches: labels, the leakage guard, and independence of the order in which topics deliver."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recommender.domain.history import (
    Category,
    Cell,
    Evidence,
    History,
    Lessons,
    Total,
    Visit,
    VisitEntry,
    lessons,
)

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
CATEGORIES = {"won": Category.WON, "lost": Category.LOST, "walked": Category.ABANDONED}


def visit(visit_no: int, stage: str, entry: VisitEntry = VisitEntry.MOVE) -> Visit:
    """Visit n begins on day 10 n."""
    return Visit(
        visit_no=visit_no,
        stage_key=stage,
        category=CATEGORIES.get(stage, Category.OPEN),
        entry=entry,
        pipeline_key="sales",
        pipeline_version=1,
        cycle_no=1,
        revision=visit_no,
        entered_at=START + timedelta(days=10 * visit_no),
    )


def evidence(
    submission_id: str, at: Visit, band: str | None = "70", *, days: int = 1, assessment: str = "fit"
) -> Evidence:
    captured_at = at.entered_at + timedelta(days=days)
    return Evidence(
        submission_id=submission_id,
        score_id=f"{submission_id}-score",
        assessment_key=assessment,
        band=band,
        stage_key=at.stage_key,
        visit_no=at.visit_no,
        captured_at=captured_at,
        attempt_no=1,
        received_at=captured_at,
        scored_at=captured_at,
    )


def history(*facts: Visit | Evidence) -> History:
    opportunity = History("opportunity")
    for fact in facts:
        if isinstance(fact, Visit):
            opportunity.enter(fact)
        else:
            opportunity.score(fact)
    return opportunity


def taught(*facts: Visit | Evidence) -> dict[tuple[str, str], int]:
    """Cases by (band, label)."""
    return {(cell.band, label): cases for (cell, label), cases in lessons(history(*facts)).cases.items()}


PROSPECTING = visit(1, "prospecting")
DISCOVERY = visit(2, "discovery")


class TestLabels:
    def test_an_ended_visit_teaches_where_the_opportunity_went(self):
        opportunity = history(PROSPECTING, evidence("s1", PROSPECTING), DISCOVERY)
        assert lessons(opportunity).cases == {(Cell("sales", "prospecting", "fit", "70"), "discovery"): 1}
        assert lessons(opportunity).totals == {("sales", Total.ENDED_VISITS): 1}

    def test_an_open_visit_teaches_nothing(self):
        assert lessons(history(PROSPECTING, evidence("s1", PROSPECTING))) == Lessons()

    def test_replaced_evidence_left_the_opportunity_where_it_was(self):
        facts = [
            PROSPECTING,
            evidence("s1", PROSPECTING, "40", days=1),
            evidence("s2", PROSPECTING, "70", days=2),
            DISCOVERY,
        ]
        assert taught(*facts) == {("40", "prospecting"): 1, ("70", "discovery"): 1}

    def test_attempts_of_a_device_are_ordered_by_number_not_by_arrival(self):
        first = replace(evidence("s1", PROSPECTING, "40"), received_at=PROSPECTING.entered_at + timedelta(days=9))
        second = replace(evidence("s2", PROSPECTING, "70"), attempt_no=2)
        assert taught(PROSPECTING, first, second, DISCOVERY) == {("40", "prospecting"): 1, ("70", "discovery"): 1}

    def test_each_assessment_of_a_visit_has_its_own_evidence_in_force(self):
        facts = [
            PROSPECTING,
            evidence("s1", PROSPECTING, "40", days=1),
            evidence("s2", PROSPECTING, "80", days=2, assessment="need"),
            DISCOVERY,
        ]
        assert taught(*facts) == {("40", "discovery"): 1, ("80", "discovery"): 1}
        assert lessons(history(*facts)).totals["sales", Total.ENDED_VISITS] == 1

    def test_a_move_undone_by_a_regress_was_not_durable(self):
        facts = [PROSPECTING, evidence("s1", PROSPECTING), DISCOVERY]
        assert taught(*facts, visit(3, "prospecting", VisitEntry.REGRESS)) == {("70", "prospecting"): 1}
        assert taught(*facts, visit(3, "demo")) == {("70", "discovery"): 1}

    def test_reopening_retracts_the_outcome(self):
        facts = [PROSPECTING, evidence("s1", PROSPECTING), visit(2, "lost")]
        assert lessons(history(*facts)).totals["sales", Total.LOST] == 1
        reopened = [*facts, visit(3, "prospecting", VisitEntry.REOPEN)]
        assert taught(*reopened) == {("70", "prospecting"): 1}
        assert Total.LOST not in {total for _, total in lessons(history(*reopened)).totals}
        won_later = lessons(history(*reopened, visit(4, "won")))
        assert won_later.totals["sales", Total.WON] == 1

    @pytest.mark.parametrize(
        ("stage", "total"), [("won", Total.WON), ("lost", Total.LOST), ("walked", Total.ABANDONED)]
    )
    def test_a_closed_opportunity_counts_once_by_outcome_even_without_evidence(self, stage, total):
        assert lessons(history(PROSPECTING, visit(2, stage))).totals == {("sales", total): 1}


class TestLeakageGuard:
    def test_evidence_captured_after_the_visit_ended_teaches_nothing(self):
        assert taught(PROSPECTING, evidence("s1", PROSPECTING, days=11), DISCOVERY) == {}

    def test_evidence_naming_a_visit_the_opportunity_never_made_teaches_nothing(self):
        elsewhere = replace(evidence("s1", PROSPECTING), stage_key="demo")
        assert taught(PROSPECTING, elsewhere, DISCOVERY) == {}

    def test_a_gap_between_visits_hides_what_happened(self):
        assert taught(PROSPECTING, evidence("s1", PROSPECTING), visit(3, "demo")) == {}

    def test_evidence_in_a_closed_stage_teaches_nothing(self):
        lost = visit(2, "lost")
        assert taught(lost, evidence("s1", lost), visit(3, "demo", VisitEntry.REOPEN)) == {}

    def test_evidence_waits_for_its_scoring_profile(self):
        unbanded = evidence("s1", PROSPECTING, None)
        assert taught(PROSPECTING, unbanded, DISCOVERY) == {}
        assert taught(PROSPECTING, replace(unbanded, band="70"), DISCOVERY) == {("70", "discovery"): 1}


class TestFacts:
    def test_a_later_scoring_replaces_the_earlier(self):
        first = evidence("s1", PROSPECTING, "40")
        second = replace(first, score_id="rescored", band="70", scored_at=first.scored_at + timedelta(days=1))
        for order in ([first, second], [second, first]):
            assert taught(PROSPECTING, *order, DISCOVERY) == {("70", "discovery"): 1}

    def test_the_same_fact_again_changes_nothing(self):
        opportunity = history(PROSPECTING)
        assert not opportunity.enter(PROSPECTING)
        assert opportunity.score(evidence("s1", PROSPECTING))
        assert not opportunity.score(evidence("s1", PROSPECTING))

    def test_a_migration_renames_the_stage_and_the_visit_goes_on(self):
        renamed = replace(
            PROSPECTING,
            stage_key="lead",
            pipeline_version=2,
            revision=PROSPECTING.revision + 1,
            entered_at=PROSPECTING.entered_at + timedelta(days=9),
        )
        for order in ([PROSPECTING, renamed], [renamed, PROSPECTING]):
            found = history(*order).visits[PROSPECTING.visit_no]
            assert found == replace(renamed, entered_at=PROSPECTING.entered_at)


OPEN = ["prospecting", "discovery", "demo"]


@st.composite
def opportunities(draw: st.DrawFn) -> tuple[list[Visit], list[Evidence]]:
    """A whole opportunity: its visits in order, and its scores in the order of their topic, some scored twice."""
    visits = []
    for visit_no in range(1, draw(st.integers(1, 6)) + 1):
        stage = draw(st.sampled_from([*OPEN, "won", "lost"]))
        entry = draw(st.sampled_from(VisitEntry)) if visit_no > 1 else VisitEntry.MOVE
        visits.append(visit(visit_no, stage, entry))
    scores = []
    for number in range(draw(st.integers(0, 6))):
        made = evidence(
            f"s{draw(st.integers(0, 3))}",
            draw(st.sampled_from(visits)),
            draw(st.sampled_from(["40", "70", "80"])),
            days=draw(st.integers(-1, 12)),
            assessment=draw(st.sampled_from(["fit", "need"])),
        )
        scores.append(replace(made, score_id=f"score-{number}", scored_at=START + timedelta(days=number)))
    return visits, scores


@given(opportunity=opportunities(), data=st.data())
def test_any_interleaving_of_topics_and_any_cut_into_batches_gives_the_same_counts(opportunity, data):
    """Counts are kept by differences, batch by batch, as the consumer keeps them; some events come twice."""
    visits, scores = opportunity
    whole = lessons(history(*visits, *scores))

    kept, counts = History("opportunity"), Lessons()
    queues = [list(visits), list(scores)]
    while any(queues):
        before = lessons(kept)
        for _ in range(data.draw(st.integers(1, 3))):
            available = [queue for queue in queues if queue]
            if not available:
                break
            queue = data.draw(st.sampled_from(available))
            fact = queue[0] if data.draw(st.booleans()) and len(queue) > 1 else queue.pop(0)
            if isinstance(fact, Visit):
                kept.enter(fact)
            else:
                kept.score(fact)
        counts.add(lessons(kept))
        counts.subtract(before)

    assert +counts.cases == whole.cases
    assert +counts.totals == whole.totals
    assert min([*counts.cases.values(), *counts.totals.values(), 0]) == 0


@given(opportunity=opportunities())
def test_every_score_teaches_at_most_once(opportunity):
    visits, scores = opportunity
    learned = lessons(history(*visits, *scores))
    assert sum(learned.cases.values()) <= len({score.submission_id for score in scores})
    assert sum(n for (_, total), n in learned.totals.items() if total is not Total.ENDED_VISITS) <= 1
    assert all(count > 0 for count in Counter(learned.cases).values())


@pytest.mark.parametrize("then", ["lost", "walked"])
def test_a_win_replaced_by_another_outcome_teaches_no_win(then: str) -> None:
    first, won, ended = visit(1, "new"), visit(2, "won"), visit(3, then)
    learned = lessons(history(first, won, ended, evidence("s1", first)))
    assert {label for _, label in learned.cases} == {then}
    assert learned.totals["sales", Total.WON] == 0
    reopened = visit(3, "new", VisitEntry.REOPEN)
    learned = lessons(history(first, won, reopened, visit(4, then), evidence("s1", first), evidence("s2", reopened)))
    assert "won" not in {label for _, label in learned.cases}
