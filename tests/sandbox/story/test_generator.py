"""The seeded story: the same seed tells the same story, and what it hides fits what it shows."""

import json
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from importlib.resources import files
from random import Random
from typing import Any

import pytest
from forms.check import check_answers, visible_questions
from forms.definition import Form, form_from_json
from hypothesis import given, settings
from hypothesis import strategies as st
from sandbox.story.answers import draw_answers
from sandbox.story.behaviour import plan_story, spoiled
from sandbox.story.generator import invent_world
from sandbox.story.world import ASSESSMENT_OF, CLOSED_LOST, OPEN_STAGES, STAGES, Flaw, Story, rank
from scoring.domain.profile import profile_from_json
from scoring.domain.reach import survey
from scoring.domain.score import score
from scoring.templates import profile_templates

TODAY = date(2026, 6, 30)
SEEDS = st.integers(0, 2**32)
SIZES = st.integers(1, 400)
# The rules of the field example, verbatim.
PASSES: Mapping[str, Any] = {
    "prospecting": lambda points: points > 60,
    "discovery": lambda points: points > 75,
    "demo": lambda points: points > 80,
    "sales_feedback": lambda points: points == 100,
}


def story_of(seed: int, size: int) -> Story:
    return plan_story(invent_world(seed, size, TODAY), seed)


def form_of(key: str) -> Form:
    document = json.loads((files("assessment") / "templates" / f"{key}.json").read_text(encoding="utf-8"))
    return form_from_json(document, 1)


FORMS = {key: form_of(key) for key in PASSES}


def typed(answers: Mapping[str, Any]) -> dict[str, Any]:
    """JSON answers as the domain knows them."""
    kinds = {bool: bool, int: Decimal, list: tuple, str: str}
    return {key: kinds[type(value)](value) for key, value in answers.items()}


def points_of(key: str, answers: Mapping[str, Any]) -> Decimal:
    form, given_answers = FORMS[key], typed(answers)
    plan = survey(form, profile_from_json(key, 1, profile_templates()[key].profile)).plan
    found = score(plan, visible_questions(form, given_answers), given_answers).score
    assert found is not None
    return found


class TestDeterminism:
    @given(SEEDS, SIZES)
    @settings(max_examples=25, deadline=None)
    def test_same_seed_same_story(self, seed: int, size: int) -> None:
        assert story_of(seed, size) == story_of(seed, size)

    def test_another_seed_tells_another_story(self) -> None:
        assert story_of(1, 100).world.opportunities != story_of(2, 100).world.opportunities

    def test_a_opportunity_behaves_the_same_whatever_stands_beside_it(self) -> None:
        world = invent_world(3, 200, TODAY)
        whole = plan_story(world, 3).world.opportunities
        half = plan_story(type(world)(world.accounts, world.reps, world.opportunities[:100]), 3).world.opportunities
        assert whole[:100] == half


class TestAnswers:
    @pytest.mark.parametrize("key", PASSES)
    @given(seed=SEEDS, ready=st.booleans())
    @settings(max_examples=150, deadline=None)
    def test_answers_pass_exactly_when_the_stage_is_done(self, key: str, seed: int, ready: bool) -> None:
        answers = draw_answers(key, ready, Random(seed))
        assert check_answers(FORMS[key], typed(answers)) == []
        assert PASSES[key](points_of(key, answers)) is ready


class TestStory:
    @given(SEEDS, SIZES)
    @settings(max_examples=25, deadline=None)
    def test_everything_refers_to_something(self, seed: int, size: int) -> None:
        story = story_of(seed, size)
        world = story.world
        accounts, reps = {a.key for a in world.accounts}, {r.key for r in world.reps}
        opportunities = {opportunity.key for opportunity in world.opportunities}
        assert len(opportunities) == len(world.opportunities) == size
        assert len({rep.username for rep in world.reps}) == len(world.reps)
        assert {opportunity.account_key for opportunity in world.opportunities} <= accounts
        assert {opportunity.rep_key for opportunity in world.opportunities} <= reps
        assert {edit.by for edit in story.edits} <= reps
        for doing in (*story.edits, *story.bad_submissions, *story.moves):
            assert doing.opportunity_key in opportunities

    @given(SEEDS)
    @settings(max_examples=15, deadline=None)
    def test_work_follows_the_hidden_truth(self, seed: int) -> None:
        stage_of = {key: stage for stage, key in ASSESSMENT_OF.items()}
        for opportunity in story_of(seed, 200).world.opportunities:
            if not opportunity.is_open:
                assert not opportunity.reviews and not opportunity.attempts
                continue
            for attempt in (*opportunity.reviews, *opportunity.attempts):
                supported = rank(stage_of[attempt.assessment_key]) < rank(opportunity.supported)
                # A failed attempt may have been made good by the next one.
                assert supported or not attempt.ready
            passed = [attempt for attempt in opportunity.attempts if attempt.ready]
            assert rank(opportunity.claimed) + len(passed) <= rank(opportunity.supported) or not passed
            for review in opportunity.reviews:
                assert rank(stage_of[review.assessment_key]) < rank(opportunity.claimed)

    def test_offline_reps_answer_only_what_their_device_held(self) -> None:
        story = story_of(5, 600)
        offline = {rep.key for rep in story.world.reps if rep.offline}
        worked = [
            opportunity
            for opportunity in story.world.opportunities
            if opportunity.rep_key in offline and opportunity.attempts
        ]
        assert worked
        for opportunity in worked:
            assert {attempt.assessment_key for attempt in opportunity.attempts} == {ASSESSMENT_OF[opportunity.claimed]}

    def test_optimists_claim_ahead_more_often(self) -> None:
        world = story_of(11, 2000).world
        reps = {rep.key: rep for rep in world.reps}
        ahead: dict[bool, list[bool]] = {True: [], False: []}
        for opportunity in world.opportunities:
            if opportunity.claimed in OPEN_STAGES[1:]:
                ahead[reps[opportunity.rep_key].optimism >= 0.5].append(
                    rank(opportunity.claimed) > rank(opportunity.supported)
                )
        share = {optimist: sum(found) / len(found) for optimist, found in ahead.items()}
        assert share[True] > 3 * share[False]

    def test_mistakes_are_mistakes(self) -> None:
        story = story_of(4, 2000)
        opportunities = {opportunity.key: opportunity for opportunity in story.world.opportunities}
        assert {bad.flaw for bad in story.bad_submissions} == set(Flaw)
        for bad in story.bad_submissions:
            wrong = check_answers(FORMS[bad.assessment_key], typed(bad.answers))
            assert bool(wrong) is (bad.flaw in (Flaw.MISSING_ANSWER, Flaw.UNKNOWN_CHOICE))
            assert spoiled(bad.answers) != bad.answers
        for move in story.moves:
            opportunity = opportunities[move.opportunity_key]
            assert not opportunity.reviews and not opportunity.attempts
            assert STAGES.index(move.to_stage) == STAGES.index(opportunity.claimed) + 1
        for edit in story.edits:
            assert edit.to_stage != opportunities[edit.opportunity_key].claimed

    def test_a_lost_opportunity_got_nowhere(self) -> None:
        assert all(rank(CLOSED_LOST) < rank(stage) for stage in OPEN_STAGES)
