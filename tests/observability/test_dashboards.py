"""The committed dashboards: in step with their code, complete, laid out, and asking only for what exists."""

import json
import os
import re
import shutil
import subprocess
from itertools import combinations

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from tests.observability.boards import RUNBOOKS, Target, alert_names, boards, every_target, panels, targets
from tests.observability.catalogue import WIDE, known_series, own_metrics, samples_of
from tests.observability.promql import Matcher, Selector, parse, relaxed, substituted
from tools.dashboards.__main__ import main
from tools.dashboards.build import runbook_url

BOARDS = boards()
by_board = pytest.mark.parametrize("board", [pytest.param(board, id=name) for name, board in BOARDS.items()])


def sent(target: Target) -> str:
    """The query as Grafana sends it for all services and instances."""
    return substituted(target.expr, rate_interval="1m", period="1h", service=".+", instance=".+")


def test_the_committed_files_are_in_step_with_the_code(capsys):
    assert main(["--check"]) == 0, capsys.readouterr().err


def test_a_file_that_was_edited_by_hand_is_found(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("tools.dashboards.__main__.TARGET", tmp_path)
    assert main([]) == 0
    assert main(["--check"]) == 0
    edited = tmp_path / "overview.json"
    edited.write_text(edited.read_text().replace('"30s"', '"5s"'))
    (tmp_path / "old.json").write_text("{}")
    assert main(["--check"]) == 1
    assert re.findall(r"grafana/(\S+) is out of step", capsys.readouterr().err) == ["old.json", "overview.json"]


@by_board
def test_panels_have_a_unit_say_what_they_mean_and_link_a_runbook(board):
    alerts = alert_names()
    for panel in panels(board):
        assert panel["fieldConfig"]["defaults"]["unit"]
        means, _, do = panel["description"].partition("\n\n**What to do:** ")
        assert len(means) > 40 and len(do) > 20, panel["description"]
        assert means.endswith(".") and do.endswith(".")
        (link,) = panel["links"]
        alert = link["title"].removeprefix("Runbook: ")
        assert link["url"] == runbook_url(alert)
        assert alert in alerts
        assert (RUNBOOKS / f"{alert}.md").is_file()


@by_board
def test_panels_ask_the_chosen_data_source_with_references_of_their_own(board):
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    for panel in panels(board):
        references = [target["refId"] for target in panel["targets"]]
        assert references and len(set(references)) == len(references)
        assert panel["datasource"] == chosen
        assert all(target["datasource"] == chosen for target in panel["targets"])


def test_uids_and_titles_tell_the_boards_apart():
    for key in ("uid", "title"):
        assert len({board[key] for board in BOARDS.values()}) == len(BOARDS) == 10


@by_board
def test_a_board_numbers_its_panels_refreshes_itself_and_links_the_others(board):
    ids = [panel["id"] for panel in board["panels"]]
    assert ids == list(range(1, len(ids) + 1))
    assert board["refresh"] == "30s"
    assert [(link["type"], link["tags"]) for link in board["links"]] == [("dashboards", board["tags"])]
    titles = [panel["title"] for panel in panels(board)]
    assert len(set(titles)) == len(titles)


@by_board
def test_a_board_uses_every_variable_it_offers_and_no_other(board):
    offered = {variable["name"] for variable in board["templating"]["list"]}
    text = json.dumps(board["panels"])
    used = set(re.findall(r"\$\{?(\w+)", text)) - {"__rate_interval", "__range"}
    assert used == offered
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            assert variable["current"]["value"] == "$__all"
            assert variable["allValue"] == ".+"


@by_board
def test_panels_lie_side_by_side_within_24_columns(board):
    places = [panel["gridPos"] for panel in board["panels"]]
    assert all(place["x"] >= 0 and place["x"] + place["w"] <= 24 and place["h"] > 0 for place in places)
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above, (one, other)


@by_board
def test_a_board_survives_grafanas_own_schema(board):
    register_default_plugins()
    again = json.loads(json.dumps(Dashboard.from_json(board), cls=JSONEncoder))
    assert again == board


@by_board
def test_queries_ask_for_series_and_labels_that_exist(board):
    known = known_series()
    asked = targets(board)
    for target in asked:
        parsed = parse(sent(target))
        assert parsed.selectors
        for selector in parsed.selectors:
            assert selector.metric in known, f"{target}: no service has {selector.metric}"
            unknown = {matcher.label for matcher in selector.matchers} - known[selector.metric]
            assert not unknown, f"{target}: {selector.metric} has no label {unknown}"
        labels = frozenset().union(*(known[selector.metric] for selector in parsed.selectors))
        labels |= set(re.findall(r'label_replace\(.*, "(\w+)", ', target.expr))
        assert parsed.grouped_by <= labels, target
        assert set(re.findall(r"{{(\w+)}}", target.legend)) <= labels, target
    assert len(asked) > 10


@by_board
def test_figures_of_the_database_are_not_added_up_over_instances(board):
    for target in targets(board):
        # Which instance leads is asked of each instance.
        expr = re.sub(r" and on \(job, instance\) crm_connection_state{.*?} == 1", "", sent(target))
        for metric in {selector.metric for selector in parse(expr).selectors} & WIDE:
            around = re.findall(rf"(\w+)(?: by \([\w, ]+\) )?\({metric}\{{", expr)
            assert set(around) == {"max"}, (str(target), around)


def test_every_metric_of_the_code_is_shown_somewhere():
    shown = {selector.metric for target in every_target() for selector in parse(sent(target)).selectors}
    hidden = [name for metric in own_metrics() if not shown & (names := samples_of(metric)).keys() for name in names]
    assert hidden == []


def test_every_query_is_valid_promql(tmp_path):
    promtool = os.environ.get("PROMTOOL") or shutil.which("promtool")
    if promtool is None:
        if os.environ.get("REQUIRE_PROMETHEUS") == "1":
            pytest.fail("promtool is not installed, and REQUIRE_PROMETHEUS=1 demands it")
        pytest.skip("promtool is not installed; it comes with Prometheus")
    queries = {f"target:{number}": sent(target) for number, target in enumerate(every_target())}
    wrong = {**queries, "target:wrong": "sum by (service (up)"}
    for group, code in ((queries, 0), (wrong, 1)):
        rules = [{"record": name, "expr": expr} for name, expr in group.items()]
        file = tmp_path / "queries.json"
        # YAML reads JSON.
        file.write_text(json.dumps({"groups": [{"name": "queries", "rules": rules}]}))
        checked = subprocess.run([promtool, "check", "rules", file], capture_output=True, text=True, check=False)
        assert checked.returncode == code, checked.stderr
    assert len(queries) > 150


@pytest.mark.parametrize(
    ("expr", "selectors", "grouped_by"),
    [
        ("up", [Selector("up")], set()),
        (
            'sum by (le, topic) (rate(a_bucket{job="x", t=~"(a|b)"}[5m] offset 1h)) / on (topic) group_left () b > 0.5',
            [Selector("a_bucket", (Matcher("job", "=", '"x"'), Matcher("t", "=~", '"(a|b)"'))), Selector("b")],
            {"le", "topic"},
        ),
        (
            '{__name__="c:d"} unless vector(1) or -c:d',
            [Selector("", (Matcher("__name__", "=", '"c:d"'),)), Selector("c:d")],
            set(),
        ),
        ("max_over_time(x[30m:1m]) # y\n and z", [Selector("x"), Selector("z")], set()),
    ],
)
def test_promql_is_taken_apart(expr, selectors, grouped_by):
    parsed = parse(expr)
    assert list(parsed.selectors) == selectors
    assert parsed.grouped_by == grouped_by


def test_a_variable_without_a_value_is_refused():
    assert substituted("rate(x[$__rate_interval])", rate_interval="1m", period="1h") == "rate(x[1m])"
    with pytest.raises(ValueError, match="without a value"):
        substituted("sum(rate(x[$__interval]))", rate_interval="1m", period="1h")


@pytest.mark.parametrize(
    ("expr", "conditions"),
    [
        ("max by (a) (x) > 0.5", ["max by (a) (x) > -1e9"]),
        ('x{le="2.5"} / (y > 0) == 1', ['x{le="2.5"} / (y > -1e9) > -1e9']),
        ("x > 14.4 * (1 - y) and z <= 3", ["x > -1e9 * (1 - y) and z < 1e9"]),
        ("x == 1 unless on (a) y > 0", ["x > -1e9 "]),
        ('f(x > 0 unless y == 1, "m", "unless") or absent(z) or w < 2', ['f(x > -1e9 , "m", "unless") ', " w < 1e9"]),
        ("sum(x or (y unless y offset 5m)) > 0", ["sum(x or (y )) > -1e9"]),
    ],
)
def test_thresholds_are_taken_out_of_a_condition(expr, conditions):
    assert relaxed(expr) == conditions
