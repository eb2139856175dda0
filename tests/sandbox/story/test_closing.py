"""The closing screen fits a terminal, says what happened, and never hides a fault."""

from dataclasses import replace
from io import StringIO
from typing import Any

import pytest
from rich.console import Console
from sandbox.story import plots
from sandbox.story.closing import print_report
from sandbox.story.life import AnswerLine, Chapter, Life
from sandbox.story.measure import Latency
from sandbox.story.report import Gap, Missing, Refusal, Report, StageLine
from sandbox.story.screen import WIDTH, Screen
from sandbox.story.verify import Verdict

from tests.sandbox.story.test_plots import GIVEN, SPEED, WAYS

PLACES = {"Salesforce org": "http://127.0.0.1:1/"}
CLEAN = Verdict(0, 0, 0, salesforce_equal=True, partner_exactly_once=True, findings=())


def chapter(**changes: Any) -> Chapter:
    passed = Chapter(
        assessment="Prospecting assessment",
        answers=(
            AnswerLine("How many hours a week does the team spend on data challenges?", ">5", "40", "40"),
            AnswerLine("What should a colleague know who takes over?", "They asked for prices by site.", "0", "0"),
        ),
        score="70",
        reachable="70",
        accepted=True,
        rule="prospecting.score > 60",
        margin="10",
        needed="",
        from_stage="Prospecting",
        to_stage="Discovery",
        scored_ms=12.0,
        decided_ms=20.0,
        partner_ms=31.0,
        salesforce_ms=48.0,
        advice="abstained, COLD_START: 3 such cases known",
    )
    return replace(passed, **changes)


def life() -> Life:
    missed = chapter(
        accepted=False,
        margin="-10",
        needed="prospecting.score is 50; needed: > 60; 10 points short",
        score="50",
        partner_ms=None,
    )
    return Life(
        opportunity_name="Cedar Foods – audit package",
        rep_name="Ada Keller",
        amount=48_100.0,
        opportunity_id="006Sg0000000001AAA",
        claimed="Prospecting",
        chapters=(missed, chapter()),
        ids=(("submission", "01a208ff-1390-71f2-b456-24bf65763c8c"),),
        trace_id="eed8ae09e78f49f986d0821fc676d64e",
        traced=("submitted", "scored", "decided", "partner event", "Salesforce write"),
        record={"StageName": "Discovery", "Stagecraft_Score__c": 70, "assessments": [{"answers": [1, 2]}]},
    )


def report(**changes: Any) -> Report:
    whole = Report(
        title="2,000 invented opportunities",
        opportunities=2000,
        submissions=2446,
        offline=669,
        duplicates=669,
        stage_changes=761,
        edits=28,
        stages=(
            StageLine("Prospecting", 693, 17.5e6, 383, 9.5e6, 878),
            StageLine("Closed Lost", 170, 4.5e6, 185, 5.1e6, 0),
        ),
        gap=Gap(43.7e6, 29.3e6, 15.2e6, 3.4e6, (("Ivan Almeida", 6, 6),)),
        refusals=(Refusal("submission", "payload_mismatch", 5, "received before with another body; " * 4),),
        decided=(("got a list of what is missing", 1_069), ("moved an opportunity", 733)),
        missing=(Missing("Discovery assessment", 353, 30.0, "In how many months will they decide?"),),
        life=life(),
        verdict=CLEAN,
        to_partner=Latency(31.0, 54.0, 130.0, 532),
        to_salesforce=Latency(80.0, 150.0, 12_345.0, 1777),
        events_per_s=138.5,
        submissions_per_s=24.5,
        repeated_deliveries=0,
        mistaken=(),
        notes=(),
        processes=(plots.survey_told(WAYS), plots.calls_told(plots.EXPECTED_CALLS), plots.leads_told(GIVEN, SPEED)),
        duration_s=80.0,
    )
    return replace(whole, **changes)


def shown(given: Report) -> str:
    text = StringIO()
    print_report(Console(file=text, width=WIDTH), given, PLACES)
    return text.getvalue()


class TestClosing:
    def test_fits_the_width_and_cuts_no_number(self) -> None:
        lines = shown(report()).splitlines()
        assert max(map(len, lines)) <= WIDTH
        for words in ("40/40", "878", "-310", "17.5 M", "payload_mismatch", "12.3 s", "1,777", "1,069 got"):
            assert any(words in line for line in lines), words

    def test_tells_the_life_of_the_opportunity_with_its_ids(self) -> None:
        text = shown(report())
        for words in (
            "Cedar Foods – audit package",
            "10 points short",
            "Prospecting → Discovery",
            "margin +10",
            "COLD_START",
            "006Sg0000000001AAA",
            "01a208ff-1390-71f2-b456-24bf65763c8c",
            "eed8ae09e78f49f986d0821fc676d64e",
        ):
            assert words in text
        assert text.count("10 points short") == 1

    def test_a_run_without_a_complete_life_still_has_a_screen(self) -> None:
        assert "Does it all agree?" in shown(report(life=None))

    def test_a_clean_run_shows_no_cross(self) -> None:
        assert "✗" not in shown(report())
        assert report().passed

    @pytest.mark.parametrize(
        "wrong",
        [
            {"lost": 2},
            {"doubled": 1},
            {"salesforce_equal": False},
            {"partner_exactly_once": False},
        ],
    )
    def test_every_fault_is_shown(self, wrong: dict[str, Any]) -> None:
        told = report(verdict=replace(CLEAN, **wrong, findings=("submission s3 has no score",)))
        text = shown(told)
        assert text.count("✗") == 1
        assert "submission s3 has no score" in text
        assert not told.passed

    def test_something_accepted_that_had_to_be_refused_fails_the_run(self) -> None:
        told = report(mistaken=("a bad submission for D-00001 was accepted",))
        assert not told.passed
        assert "D-00001 was accepted" in shown(told)


class TestFigures:
    def test_has_what_the_figures_file_promises(self) -> None:
        promised = (
            "opportunities submissions stage_changes lost doubled out_of_order salesforce_equal partner_exactly_once "
            "latency_ms events_per_s duration_s"
        ).split()
        figures = report().figures
        assert set(promised) <= figures.keys()
        assert figures["latency_ms"] == {"p50": 31.0, "p95": 54.0, "p99": 130.0}


class TestScreen:
    def test_without_a_terminal_each_phase_leaves_one_line(self) -> None:
        text = StringIO()
        with Screen(Console(file=text, width=WIDTH)) as screen, screen.phase("Starting") as phase:
            phase.note = "all well"
        lines = [line for line in text.getvalue().splitlines() if line.strip()]
        assert len(lines) == 1
        assert "Starting" in lines[0]
        assert "all well" in lines[0]

    def test_a_phase_that_failed_is_not_ticked_off(self) -> None:
        text = StringIO()
        with pytest.raises(OSError), Screen(Console(file=text)) as screen, screen.phase("Starting"):
            raise OSError
        assert "✓" not in text.getvalue()

    def test_the_three_processes_take_five_lines(self) -> None:
        lines = shown(report()).splitlines()
        start = next(place for place, line in enumerate(lines) if line.startswith("Three processes"))
        # With the empty line before it.
        assert [line.strip()[:1] for line in lines[start + 1 : start + 5]] == ["✓", "✓", "✓", ""]

    def test_a_process_that_does_not_come_out_as_told_fails_the_run(self) -> None:
        told = report(processes=(plots.calls_told({}),))
        assert not told.passed
        assert told.figures["processes"]["ninety_day_call"]["came_out"] is False
        assert shown(told).count("✗") == 1
        assert "Rita is missing" in shown(told)
