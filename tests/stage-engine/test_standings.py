"""How opportunities stand in the forecast, and what rules were asked."""

from datetime import timedelta

import pytest
from stage_engine.domain.document import from_document
from stage_engine.domain.figures.standings import (
    evaluation_of,
    is_in_forecast,
    may_differ,
    standing_of,
    standings_after,
)
from stage_engine.domain.fold import Step, fold
from stage_engine.domain.lint_facts import declaration_findings

from tests.decisions import after


def test_a_stage_is_counted_on_as_it_says_or_by_its_category(world) -> None:
    document = world.document()
    document["stages"][2] |= {"forecast": "commit"}
    pipeline = from_document(document, 1)
    shown = {stage.key: pipeline.forecast_of(stage.key).value for stage in pipeline.stages}
    assert shown == {
        "prospecting": "pipeline", "discovery": "pipeline", "demo": "commit", "negotiation": "pipeline",
        "closed_won": "closed", "closed_lost": "omitted",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "codes"),
    [("", []), ("opportunity.type", []), ("opportunity.amount", ["segment_fact_invalid"]),
     ("opportunity.owner_id", ["segment_fact_invalid"]), ("nonsense", ["segment_fact_invalid"])],
)  # fmt: skip
def test_what_cuts_into_segments_is_a_text_that_is_supplied(world, name: str, codes: list[str]) -> None:
    pipeline = world.pipeline(segment_fact=name)
    assert [finding.code for finding in declaration_findings(pipeline)] == codes
    assert not name or codes or name in pipeline.reads


def test_the_same_standing_is_never_written_again_and_a_closed_one_ends(world) -> None:
    pipeline, at = world.rules.pipeline, world.at(0)
    before = world.opportunity()
    kept = standing_of(before, pipeline, "mona", at)
    [step] = fold(before, [world.observation("prospecting", amount=before.amount)], world.rules, world.at(1), set())
    assert not may_differ(before, after(step.decision), pipeline)
    assert standings_after(kept, step, pipeline, "mona") == (None, kept)
    [step] = fold(before, [world.observation("closed_lost")], world.rules, world.at(2), set())
    ended, lasts = standings_after(kept, step, pipeline, "mona")
    assert ended is not None and (ended.until, lasts) == (world.at(2), None)
    assert not is_in_forecast(step.decision.opportunity, pipeline)


def test_rules_that_were_asked_are_named_with_the_one_that_fired(world) -> None:
    before = world.opportunity()

    def asked(assessment: str, score: str) -> tuple[tuple[str, ...], str] | None:
        given = world.submission(assessment, score, before)
        [step] = fold(before, [given], world.rules, world.at(5), set())
        found = evaluation_of(step, world.rules, "mona")
        return None if found is None else (found.asked, found.fired)

    rule = "prospecting_to_discovery"
    assert asked("prospecting", "70") == ((rule,), rule)
    assert asked("prospecting", "10") == ((rule,), "")
    # An assessment of another stage asks none.
    assert asked("demo", "90") is None
    [step] = fold(before, [world.observation("discovery")], world.rules, world.at(5), set())
    assert evaluation_of(step, world.rules, "") is None
    assert isinstance(step, Step) and step.decision.decided_at - world.start == timedelta(minutes=5)
