"""Medians, targets and the file of results."""

import json

import pytest

from tools.bench.outcome import outcome_of, quantile
from tools.bench.report import FIGURES, NAMES, Figure, Report, Result, median_result, reached

RATIO = Figure("speed", "x/s", "", at_least=0.5)
LATENCY = Figure("late", "ms", "", at_most=3)
TOLD = Figure("told", "s", "")


def test_the_ratio_is_the_median_of_the_pairs_and_not_of_the_medians():
    result = median_result(RATIO, [(10.0, 10.0), (30.0, 60.0), (20.0, 100.0)])
    assert result == Result("speed", 20.0, 60.0, "x/s", 0.5, 3)


def test_a_figure_without_reference_has_no_ratio():
    assert median_result(TOLD, [(3.0, None), (1.0, None), (2.0, None)]) == Result("told", 2.0, None, "s", None, 3)


@pytest.mark.parametrize(
    ("figure", "pair", "good"),
    [
        (RATIO, (50.0, 100.0), True),
        (RATIO, (49.0, 100.0), False),
        (LATENCY, (30.0, 10.0), True),
        (LATENCY, (31.0, 10.0), False),
        (LATENCY, (3.0, None), True),
        (LATENCY, (3.1, None), False),
        (TOLD, (1.0, 2.0), None),
    ],
)
def test_a_target_is_held_against_the_ratio_or_where_there_is_none_the_figure(figure, pair, good):
    assert reached(figure, median_result(figure, [pair])) is good


def test_each_figure_has_one_name():
    assert len(set(NAMES)) == len(FIGURES)


def test_results_are_written_after_each_figure_and_misses_named(tmp_path, capsys):
    file = tmp_path / "deep" / "results.json"
    report = Report(file, 3)
    pairs = iter([(40.0, 100.0), (60.0, 100.0), (45.0, 100.0)])
    report.measure("decision", lambda: next(pairs))
    assert json.loads(file.read_text()) == [
        {"name": "decision", "ours": 45.0, "reference": 100.0, "unit": "decisions/s", "ratio": 0.45, "runs": 3}
    ]
    report.measure("memory_idle", lambda: (640.0, None), runs=1)
    assert [(each["name"], each["ratio"], each["runs"]) for each in json.loads(file.read_text())] == [
        ("decision", 0.45, 3),
        ("memory_idle", None, 1),
    ]
    lines, missed = report.verdict()
    assert missed == ["decision"]
    assert [line.split()[-1] for line in lines[1:]] == ["MISSED", "ok"]
    assert "ratio 0.45" in capsys.readouterr().out


def test_an_outcome_spans_the_first_beginning_and_the_last_end():
    outcome = outcome_of({"a": 10.0, "b": 11.0}, {"b": 12.0, "a": 14.0})
    assert outcome.per_s == 0.5
    assert outcome.p99_s == pytest.approx(1 + 0.99 * 3)


def test_an_outcome_knows_no_submission_that_only_began():
    with pytest.raises(ValueError, match="2 submissions"):
        outcome_of({"a": 1.0, "b": 1.0}, {"a": 2.0, "c": 2.0})


def test_quantiles_lie_between_their_neighbours():
    assert quantile([4.0, 1.0, 3.0, 2.0], 0.5) == 2.5
    assert quantile([7.0], 0.99) == 7.0
