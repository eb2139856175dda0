"""The page's server: every committed dashboard, its queries, alerts, runbooks, and what it refuses."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest
from sandbox.observe.app import STATIC, Observed, page_app
from sandbox.observe.dashboards import (
    DASHBOARDS_DIR,
    PANEL_TYPES,
    POINTS,
    Dashboards,
    Period,
    chosen,
    legend_of,
    panels_of,
    substitute,
    variables_of,
)
from sandbox.observe.prometheus import Prometheus, Target
from sandbox.observe.query import NoPrometheus, PrometheusClient
from sandbox.observe.runbooks import Runbooks
from sandbox.stack.ports import free_ports

from tests.sandbox.prometheus_here import installed_prometheus, metrics_endpoint

BOARDS = [json.loads(file.read_text()) for file in sorted(DASHBOARDS_DIR.glob("*.json"))]
PERIOD = Period(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 1, tzinfo=UTC), 5)
METRICS = b"""opportunities{service="scoring"} 3
opportunities{service="assessment"} 4
endless +Inf
nothing NaN
"""
SERVICE = {
    "name": "service",
    "type": "query",
    "label": "Service",
    "multi": True,
    "includeAll": True,
    "allValue": ".+",
    "query": {"query": 'label_values(opportunities{job="stagecraft"}, service)'},
    "current": {"value": "$__all"},
}


def board_of(*expressions: str, **changed: Any) -> dict[str, Any]:
    """A dashboard with one panel, whose targets ask the expressions."""
    targets = [
        {"expr": expression, "refId": chr(65 + place), "instant": True, "range": False, "legendFormat": "{{service}}"}
        for place, expression in enumerate(expressions)
    ]
    panel = {"id": 1, "type": "table", "title": "Opportunities", "gridPos": {"x": 0, "y": 0, "w": 24, "h": 8}}
    return {
        "uid": "own",
        "title": "Own",
        "panels": [panel | {"targets": targets}],
        "templating": {"list": [SERVICE]},
    } | changed


def serving(tmp_path: Path, prometheus: PrometheusClient, *boards: dict[str, Any]) -> httpx.AsyncClient:
    """A client of the page, with dashboards of the test's own or the committed ones."""
    for place, board in enumerate(boards):
        (tmp_path / f"{place}.json").write_text(json.dumps(board))
    observed = Observed(
        prometheus=prometheus,
        logs=tmp_path,
        scrape_seconds=5,
        dashboards=Dashboards(tmp_path) if boards else Dashboards(),
        runbooks=Runbooks(tmp_path),
    )
    return httpx.AsyncClient(transport=httpx.ASGITransport(page_app(observed)), base_url="http://127.0.0.1")


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(tmp_path, NoPrometheus("Prometheus is not installed.")) as client:
        yield client


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with metrics_endpoint(METRICS) as address:
        yield address


@pytest.fixture(scope="module")
async def prometheus(endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Prometheus]:
    installed_prometheus()
    directory = tmp_path_factory.mktemp("prometheus")
    async with Prometheus(directory, [Target("", endpoint)], scrape_seconds=2) as prometheus:
        await prometheus.until_up()
        yield prometheus


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board["uid"])
class TestCommittedDashboards:
    async def test_it_is_served_as_committed(self, board: dict[str, Any], client: httpx.AsyncClient) -> None:
        assert (await client.get(f"/api/dashboards/{board['uid']}")).json() == board
        page = await client.get(f"/d/{board['uid']}")
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")

    def test_the_page_draws_every_panel_of_it(self, board: dict[str, Any]) -> None:
        for panel in panels_of(board):
            assert panel["type"] in PANEL_TYPES, panel["title"]
            # Neither is drawn here; a panel that has one would look different in Grafana.
            assert not panel.get("transformations"), panel["title"]
            assert not panel.get("repeat"), panel["title"]

    def test_the_page_knows_every_unit_of_it(self, board: dict[str, Any]) -> None:
        script = (STATIC / "units.js").read_text()
        units = script[script.index("export const UNITS = {") : script.index("};", script.index("export const UNITS"))]
        known = set(re.findall(r"^  (\w+):", units, re.MULTILINE))
        fields = [panel["fieldConfig"]["defaults"] for panel in panels_of(board) if "fieldConfig" in panel]
        assert {field["unit"] for field in fields} <= known

    def test_every_variable_in_a_query_gets_its_value(self, board: dict[str, Any]) -> None:
        values = {**chosen(board, {}), **PERIOD.builtin()}
        for panel in panels_of(board):
            for target in panel.get("targets", ()):
                assert "$" not in substitute(target["expr"], values), panel["title"]

    async def test_a_panel_of_each_type_says_in_words_that_prometheus_is_away(
        self, board: dict[str, Any], client: httpx.AsyncClient
    ) -> None:
        for panel in {panel["type"]: panel for panel in panels_of(board) if panel["type"] != "row"}.values():
            reply = await client.get(f"/api/dashboards/{board['uid']}/panels/{panel['id']}")
            answers = reply.json()["answers"]
            assert len(answers) == len(panel["targets"])
            assert {answer["error"] for answer in answers} == {"Prometheus is not installed."}


def test_there_are_committed_dashboards() -> None:
    assert "stagecraft-overview" in {board["uid"] for board in BOARDS}


def test_the_script_draws_the_types_that_the_server_knows() -> None:
    names = re.search(r"export const RENDERERS = \{ ([\w, ]+) \}", (STATIC / "panels.js").read_text())
    assert names is not None
    assert set(names[1].split(", ")) == PANEL_TYPES - {"row"}


def test_every_kind_of_variable_is_known() -> None:
    kinds = {variable["type"] for board in BOARDS for variable in variables_of(board)}
    assert kinds <= {"query", "custom", "textbox", "constant", "datasource"}


class TestSafety:
    @pytest.mark.parametrize("path", ["/traces", "/api/dashboards", "/static/main.js", "/nowhere", "/api/nowhere", "/"])
    async def test_every_reply_has_the_policy(self, client: httpx.AsyncClient, path: str) -> None:
        policy = (await client.get(path)).headers["content-security-policy"]
        assert policy.split("; ")[0] == "default-src 'self'"
        assert "unsafe" not in policy

    def test_the_page_keeps_to_it(self) -> None:
        class Tags(HTMLParser):
            def __init__(self) -> None:
                super().__init__()
                self.found: list[tuple[str, dict[str, str | None]]] = []

            def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
                self.found.append((tag, dict(attrs)))

        tags = Tags()
        tags.feed((STATIC / "page.html").read_text())
        for tag, attributes in tags.found:
            assert tag != "style"
            assert tag != "script" or str(attributes["src"]).startswith("/static/")
            assert not any(name == "style" or name.startswith("on") for name in attributes)
            assert all(str(attributes[name]).startswith(("/", "#")) for name in ("href", "src") if name in attributes)

    @pytest.mark.parametrize("file", sorted(STATIC.iterdir()), ids=lambda file: file.name)
    def test_nothing_comes_from_elsewhere(self, file: Path) -> None:
        addresses = re.findall(r"https?://[^\s\"'`)]+", file.read_text())
        assert set(addresses) <= {"http://www.w3.org/2000/svg"}

    async def test_another_host_s_name_is_refused(self, client: httpx.AsyncClient) -> None:
        reply = await client.get("/api/dashboards", headers={"host": "evil.example"})
        assert reply.status_code == 400

    async def test_no_query_of_a_caller_s_own_is_run(self, client: httpx.AsyncClient) -> None:
        for path in ("/api/query?query=up", "/api/v1/query?query=up"):
            assert (await client.get(path)).status_code == 404

    @pytest.mark.parametrize("name", ["..%2f..%2fREADME", "%2e%2e", "a%00b", "own.json"])
    async def test_a_runbook_is_found_in_its_folder_only(self, client: httpx.AsyncClient, name: str) -> None:
        assert (await client.get(f"/runbooks/{name}")).status_code == 404


class TestRefusals:
    async def test_an_unknown_dashboard_is_refused_in_words(self, client: httpx.AsyncClient) -> None:
        reply = await client.get("/api/dashboards/nope")
        assert reply.status_code == 404
        assert reply.json()["error"].startswith("There is no dashboard 'nope'. There are: stagecraft-overview, ")
        page = await client.get("/d/<script>")
        assert page.status_code == 404
        assert "There is no dashboard &#x27;&lt;script&gt;&#x27;." in page.text

    async def test_an_unknown_panel_is_refused_in_words(self, client: httpx.AsyncClient) -> None:
        reply = await client.get("/api/dashboards/stagecraft-overview/panels/9999")
        assert (reply.status_code, reply.json()["error"]) == (404, "Dashboard stagecraft-overview has no panel 9999.")

    @pytest.mark.parametrize(
        ("asked", "words"),
        [
            ({"from": "yesterday"}, "'from' must be unix seconds"),
            ({"to": "1e99"}, "'to' must be unix seconds"),
            ({"from": "2000", "to": "1000"}, "'from' must be before 'to'"),
            ({"from": "0", "to": "9999999"}, "at most 31 days"),
        ],
    )
    async def test_a_wrong_period_is_refused_in_words(
        self, client: httpx.AsyncClient, asked: dict[str, str], words: str
    ) -> None:
        reply = await client.get("/api/dashboards/stagecraft-overview/panels/2", params=asked)
        assert (reply.status_code, words in reply.json()["error"]) == (400, True)

    async def test_alerts_say_in_words_that_prometheus_is_away(self, tmp_path: Path) -> None:
        (port,) = free_ports(1)
        async with PrometheusClient(f"http://127.0.0.1:{port}") as away, serving(tmp_path, away) as client:
            found = (await client.get("/api/alerts")).json()
        assert found["alerts"] == []
        assert found["error"].startswith(f"no Prometheus answers at http://127.0.0.1:{port}: ")

    async def test_a_variable_without_prometheus_keeps_its_default(self, tmp_path: Path) -> None:
        async with serving(tmp_path, NoPrometheus("away"), board_of("opportunities")) as client:
            (variable,) = (await client.get("/api/dashboards/own/variables")).json()
        assert (variable["options"], variable["current"], variable["error"]) == ([], ["$__all"], "away")


@pytest.mark.slow
class TestWithPrometheus:
    async def panel(self, tmp_path: Path, prometheus: Prometheus, *expressions: str, **asked: Any) -> list[Any]:
        async with serving(tmp_path, prometheus.client, board_of(*expressions)) as client:
            parameters = {name.replace("_", "-"): value for name, value in asked.items()}
            return (await client.get("/api/dashboards/own/panels/1", params=parameters)).json()["answers"]

    async def test_lines_come_with_their_legend(self, tmp_path: Path, prometheus: Prometheus) -> None:
        (answer,) = await self.panel(tmp_path, prometheus, 'opportunities{service=~"$service"}')
        assert sorted((line["legend"], line["points"][0][1]) for line in answer["lines"]) == [
            ("assessment", 4),
            ("scoring", 3),
        ]

    async def test_a_choice_narrows_the_query(self, tmp_path: Path, prometheus: Prometheus) -> None:
        (answer,) = await self.panel(
            tmp_path, prometheus, 'opportunities{service=~"$service"}', var_service=["scoring"]
        )
        assert [line["legend"] for line in answer["lines"]] == ["scoring"]
        (answer,) = await self.panel(
            tmp_path, prometheus, 'opportunities{service=~"$service"}', var_service=["scoring", "assessment"]
        )
        assert len(answer["lines"]) == 2

    async def test_a_choice_cannot_leave_its_quotes(self, tmp_path: Path, prometheus: Prometheus) -> None:
        (answer,) = await self.panel(
            tmp_path, prometheus, 'opportunities{service=~"$service"}', var_service=['x"} or up{a="']
        )
        assert (answer["error"], answer["lines"]) == ("", [])

    async def test_an_error_hides_no_other_query(self, tmp_path: Path, prometheus: Prometheus) -> None:
        failed, found, empty = await self.panel(tmp_path, prometheus, "sum(", "opportunities", "absent_metric")
        assert "parse error" in failed["error"]
        assert (len(found["lines"]), found["error"]) == (2, "")
        assert (empty["lines"], empty["error"]) == ([], "")

    async def test_values_that_json_does_not_have_arrive(self, tmp_path: Path, prometheus: Prometheus) -> None:
        endless, nothing = await self.panel(tmp_path, prometheus, "endless", "nothing")
        assert endless["lines"][0]["points"][0][1] == "inf"
        assert nothing["lines"][0]["points"][0][1] is None

    async def test_a_range_comes_at_whole_steps(self, tmp_path: Path, prometheus: Prometheus) -> None:
        board = board_of("vector(1)")
        board["panels"][0]["targets"][0] |= {"instant": False, "range": True}
        async with serving(tmp_path, prometheus.client, board) as client:
            asked = {"from": "1767225601.5", "to": "1767229201.5"}
            found = (await client.get("/api/dashboards/own/panels/1", params=asked)).json()
        points = found["answers"][0]["lines"][0]["points"]
        assert found["step"] == 15
        assert {at % 15 for at, _ in points} == {0}
        assert len(points) == POINTS + 1

    async def test_variables_have_the_values_that_are_there(self, tmp_path: Path, prometheus: Prometheus) -> None:
        async with serving(tmp_path, prometheus.client, board_of("opportunities")) as client:
            (variable,) = (await client.get("/api/dashboards/own/variables")).json()
        assert (variable["options"], variable["multi"], variable["error"]) == (["assessment", "scoring"], True, "")

    async def test_a_variable_of_another_kind_says_what_is_supported(
        self, tmp_path: Path, prometheus: Prometheus
    ) -> None:
        board = board_of("opportunities", templating={"list": [SERVICE | {"query": "query_result(up)"}]})
        async with serving(tmp_path, prometheus.client, board) as client:
            (variable,) = (await client.get("/api/dashboards/own/variables")).json()
        assert "only label_values(selector, label) is supported" in variable["error"]


class TestPeriod:
    @pytest.mark.parametrize(
        ("span", "step"), [(timedelta(minutes=5), 5), (timedelta(hours=1), 15), (timedelta(days=1), 360)]
    )
    def test_steps_are_whole_scrapes(self, span: timedelta, step: float) -> None:
        assert Period(PERIOD.start, PERIOD.start + span, 5).step_seconds == step

    def test_a_rate_sees_four_scrapes(self) -> None:
        values = Period(PERIOD.start, PERIOD.start + timedelta(minutes=5), 5).builtin()
        assert (values["__rate_interval"], values["__range"], values["__range_s"]) == ("20s", "300s", "300")
        assert Period(PERIOD.start, PERIOD.start + timedelta(days=1), 5).builtin()["__rate_interval"] == "365s"

    def test_names_are_replaced_whole(self) -> None:
        values = {"service": "s", "__range": "1h", "__range_s": "3600"}
        assert substitute("$service ${service} ${service:regex} [[service]] $__range $__range_s $other", values) == (
            "s s s s 1h 3600 $other"
        )

    def test_a_legend_without_a_pattern_shows_the_labels(self) -> None:
        labels = {"__name__": "opportunities", "b": "2", "a": "1"}
        assert legend_of("__auto", labels, "sum(x)") == 'opportunities{a="1", b="2"}'
        assert legend_of("", {}, "sum(x)") == "sum(x)"
        assert legend_of("{{a}} of {{ missing }}", labels, "x") == "1 of"


class TestRunbooks:
    async def test_it_is_rendered_and_its_html_is_shown_as_text(self, tmp_path: Path) -> None:
        (tmp_path / "OutboxStuck.md").write_text("# Outbox\n\n<script>alert(1)</script>\n\n```sh\nmake status\n```\n")
        async with serving(tmp_path, NoPrometheus("away"), board_of("opportunities")) as client:
            for path in ("/runbooks/OutboxStuck", "/runbooks/OutboxStuck.md"):
                page = (await client.get(path)).text
                assert "<h1>Outbox</h1>" in page
                assert "make status" in page
                assert "<script>alert" not in page

    async def test_an_unknown_one_is_refused_in_words(self, tmp_path: Path) -> None:
        (tmp_path / "OutboxStuck.md").write_text("# Outbox")
        async with serving(tmp_path, NoPrometheus("away"), board_of("opportunities")) as client:
            reply = await client.get("/runbooks/Nope")
        assert reply.status_code == 404
        assert "There is no runbook &#x27;Nope&#x27;. There are: OutboxStuck." in reply.text


async def test_the_first_page_is_the_overview(client: httpx.AsyncClient) -> None:
    reply = await client.get("/")
    assert reply.headers["location"].startswith("/d/stagecraft-overview?")
