"""Events read as facts, without a broker: what is kept of them, and what is refused under which code."""

from decimal import Decimal

import pytest
from kit.errors import InvalidEvent
from recommender import messages
from recommender.domain.history import Category, VisitEntry
from stagecraft.crm.v1.record_observed_pb2 import OBSERVATION_KIND_DELETED
from stagecraft.stage.v1.stage_changed_pb2 import TRANSITION_KIND_REGRESS, TRANSITION_KIND_REOPEN
from stagecraft.stage.v1.stage_decided_pb2 import INPUT_KIND_OBSERVATION

from tests.builders import (
    MOMENT,
    pipeline_published,
    received,
    record_observed,
    scoring_profile_published,
    stage_changed,
    stage_decided,
    submission_scored,
)


def test_a_pipeline_keeps_the_categories_of_its_stages():
    read = messages.read_pipeline(received(pipeline_published()))
    assert [stage.category for stage in read.stages][2:] == [Category.OPEN, Category.WON, Category.LOST]


def test_a_pipeline_without_stages_is_refused():
    with pytest.raises(InvalidEvent) as refused:
        messages.read_pipeline(received(pipeline_published(stages=[])))
    assert refused.value.code == "missing_field"


def test_a_profile_with_an_unreadable_bound_is_refused():
    with pytest.raises(InvalidEvent) as refused:
        messages.read_profile(received(scoring_profile_published(reachable_max="many")))
    assert refused.value.code == "bad_decimal"


def test_an_observation_says_what_the_crm_claims_and_when():
    read = messages.read_observation(received(record_observed(stage_key=""), sequence=9))
    assert (read.claimed_stage, read.crm_deleted, read.observed_sequence) == (None, False, 9)
    gone = messages.read_observation(received(record_observed(kind=OBSERVATION_KIND_DELETED)))
    assert gone is not None and gone.crm_deleted
    assert messages.read_observation(received(record_observed(object_type="account"))) is None


@pytest.mark.parametrize(
    ("kind", "entry"), [(TRANSITION_KIND_REGRESS, VisitEntry.REGRESS), (TRANSITION_KIND_REOPEN, VisitEntry.REOPEN)]
)
def test_a_visit_knows_how_it_was_entered(kind, entry):
    assert messages.read_visit(received(stage_changed())).visit.entry is VisitEntry.MOVE
    visit = messages.read_visit(received(stage_changed(kind=kind, to_stage="closed_won"))).visit
    assert (visit.entry, visit.category, visit.entered_at) == (entry, Category.WON, MOMENT)


def test_only_decisions_on_submissions_are_kept_beside_a_recommendation():
    assert messages.read_decision(received(stage_decided(input_kind=INPUT_KIND_OBSERVATION))) is None
    read = messages.read_decision(received(stage_decided(proposed_stage="demo")))
    assert read is not None and (read.outcome, read.stage_key) == ("accepted", "demo")


def test_a_score_brings_its_answers_and_no_band():
    read = messages.read_score(received(submission_scored()))
    assert (read.score, read.answers, read.evidence.band) == (Decimal(70), {"hours": "over_5"}, None)


def test_a_blocked_submission_has_no_score():
    assert messages.read_score(received(submission_scored(score="", complete=False))).score is None
