"""Figures, their cases, coaching and the activity funnel over HTTP."""

import csv
import io
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from kit.ids import utc_now
from stage_engine.domain.figures.catalogue import BY_KEY
from stage_engine.endpoints.figures import safe_cell
from testing.service import ServiceUnderTest

from tests.builders import activity_observed, person_observed
from tests.stage_engine import Client, Tenant, stamp


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def engine(start_service: Any) -> AsyncIterator[ServiceUnderTest]:
    """A running engine in which managers see their team."""
    yield await start_service("stage_engine", managers_see="team")


LONG_AGO = utc_now() - timedelta(days=100)
REPORTS = {"ann": "mona", "bob": "mona", "cat": "max"}


async def people(world_of: Tenant) -> None:
    for person_id, manager_id in (*REPORTS.items(), ("mona", ""), ("max", "")):
        message = person_observed(person_id, world_of.tenant, manager_id=manager_id)
        await world_of.service.publish(message, tenant=world_of.tenant)
    while len(await world_of.rows("SELECT person_id FROM person")) < 5:
        pass


async def played(world_of: Tenant) -> None:
    """Three opportunities of three people: two advance, one of them is won, one is lost."""
    await world_of.publish_pipeline(currency="EUR", segment_fact="opportunity.type")
    await people(world_of)
    for number, person_id in enumerate(REPORTS):
        given = {"owner_id": person_id, "amount": str(100 * (number + 1)), "currency": "EUR"}
        moves = {"ann": ("discovery", "closed_won"), "bob": ("discovery",), "cat": ("closed_lost",)}[person_id]
        for step, stage in enumerate(("prospecting", *moves)):
            at = LONG_AGO + timedelta(days=10 * step)
            await world_of.observe(f"o{number}", stage, committed_at=stamp(at), **given)
    await world_of.changes(8 - 1)


@pytest.mark.stack
class TestFigures:
    @pytest.mark.capability(65, 75, 78)
    async def test_a_rep_sees_their_own_a_manager_the_team_and_all_with_formula_and_cases(
        self, engine: Any, world_of: Tenant, tenant: str
    ) -> None:
        await played(world_of)
        path = "/v1/figures/conversion?group_by=person&horizon_days=30"
        seen = {
            (role, who): (await Client(engine, tenant, role, who).get(path))["rows"]
            for role, who in (("rep", "ann"), ("manager", "mona"), ("admin", "root"), ("sre", "oncall"))
        }
        names = {caller: sorted({row["group"] for row in rows}) for caller, rows in seen.items()}
        assert names == {
            ("rep", "ann"): ["ann"], ("manager", "mona"): ["ann", "bob"], ("admin", "root"): ["ann", "bob", "cat"],
            ("sre", "oncall"): ["ann", "bob", "cat"],
        }  # fmt: skip
        # Ann got on from both stages, Cat from neither.
        rows = {row["group"]: row for row in seen["admin", "root"]}
        assert [(rows[who]["numerator"], rows[who]["n"]) for who in REPORTS] == [("2", 2), ("1", 2), ("0", 1)]
        assert (rows["ann"]["value"], rows["cat"]["value"]) == ("1", "0")

        admin = Client(engine, tenant)
        # The step and its handler, and who converts best; defects are moves without what the pipeline asks for.
        bob = await admin.get("/v1/opportunities/o1")
        assert (bob["claimed_stage"], bob["owner_id"]) == ("discovery", "bob")
        assert max(rows, key=lambda who: float(rows[who]["low"])) == "ann"
        [by_crm] = (await admin.get("/v1/figures/adherence?group_by=path"))["rows"]
        assert (by_crm["group"], by_crm["value"], by_crm["n"]) == ("crm", "0", 3)

        listed = await admin.get("/v1/figures")
        assert {each["key"] for each in listed["figures"]} == BY_KEY.keys()
        assert all(each["formula"] and each["censored"] and each["excluded"] for each in listed["figures"])
        assert all(each["reason"] for each in listed["left_out"])

        cases = await admin.get("/v1/figures/conversion/records?group_by=person&group=ann&horizon_days=30&limit=1")
        assert [(each["opportunity_id"], each["state"]) for each in cases["items"]] == [("o0", "counted")]
        more = await admin.get(
            f"/v1/figures/conversion/records?group_by=person&group=ann&horizon_days=30&limit=1&cursor="
            f"{cases['next_cursor']}"
        )
        assert [each["number"] for each in (*cases["items"], *more["items"])] == [1, 2]
        mona = Client(engine, tenant, "manager", "mona")
        all_seen = (await mona.get("/v1/figures/conversion/records?horizon_days=30"))["items"]
        assert {each["opportunity_id"] for each in all_seen} == {"o0", "o1"}

    @pytest.mark.capability(4)
    async def test_categories_are_uniform_and_amounts_are_kept_by_currency(
        self, world_of: Tenant, admin: Client
    ) -> None:
        await world_of.publish_pipeline(currency="EUR")
        due = (utc_now() + timedelta(days=5)).date().isoformat()
        for number, (stage, amount, currency) in enumerate(
            (("prospecting", "100", "EUR"), ("discovery", "50", "EUR"), ("prospecting", "7", "USD"))
        ):
            given = {"owner_id": "ann", "amount": amount, "currency": currency, "close_date": due}
            await world_of.observe(f"d{number}", stage, **given)
        await world_of.changes(3)
        since, until = utc_now().date().isoformat(), (utc_now() + timedelta(days=9)).date().isoformat()
        period = f"from={since}T00:00:00Z&to={until}T00:00:00Z"
        rows = (await admin.get(f"/v1/figures/forecast?group_by=category&{period}"))["rows"]
        assert [(row["group"], row["currency"], row["value"]) for row in rows] == [
            ("pipeline", "EUR", "150"), ("pipeline", "USD", "7")
        ]  # fmt: skip
        gap = (await admin.get("/v1/figures/optimism_gap"))["rows"]
        assert [(row["currency"], row["value"]) for row in gap] == [("EUR", "0.3333"), ("USD", "0")]

    async def test_a_table_has_names_in_front_and_no_formulas(self, engine: Any, world_of: Tenant, tenant: str) -> None:
        await played(world_of)
        headers = {**engine.headers(tenant), "Accept": "text/csv"}
        reply = await engine.client.get("/v1/figures/won_value?group_by=person", headers=headers)
        assert reply.headers["content-type"].startswith("text/csv")
        names, *rows = csv.reader(io.StringIO(reply.text))
        assert dict(zip(names, rows[0], strict=True))["value"] == "100"
        same = await engine.client.get(
            "/v1/figures/won_value?group_by=person&format=csv", headers=engine.headers(tenant)
        )
        assert same.text == reply.text
        cases = await engine.client.get("/v1/figures/won_value/records", headers=headers)
        assert cases.text.splitlines()[1].startswith("o0,")
        again = await engine.client.get("/v1/figures/won_value/records?format=csv", headers=engine.headers(tenant))
        assert again.text == cases.text

    async def test_what_cannot_be_answered_is_refused_with_what_can(self, admin: Client) -> None:
        problem = await admin.get("/v1/figures/luck", 404)
        assert problem["code"] == "figure_not_found" and "win_rate" in problem["detail"]
        problem = await admin.get("/v1/figures/win_rate?group_by=rule", 422)
        assert problem["code"] == "group_unknown" and "person" in problem["detail"]
        problem = await admin.get("/v1/figures/win_rate/records?group=ann", 422)
        assert problem["code"] == "group_by_missing"
        problem = await admin.get("/v1/figures/win_rate?from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z", 422)
        assert problem["code"] == "period_empty"
        assert (await admin.get("/v1/figures/win_rate"))["rows"] == []

    @pytest.mark.capability(79, 81)
    async def test_people_are_coached_beside_their_team_and_the_funnel_goes_from_activities_to_wins(
        self, engine: Any, world_of: Tenant, tenant: str
    ) -> None:
        await played(world_of)
        for number, kind in enumerate((1, 3, 3)):
            message = activity_observed(
                activity_id=f"a{number}", opportunity_id="o0", kind=kind, person_id="ann", occurred_at=LONG_AGO
            )
            await world_of.service.publish(message, tenant=tenant)
        while len(await world_of.rows("SELECT activity_id FROM activity")) < 3:
            pass
        rows = (await Client(engine, tenant).get("/v1/activity-funnel?period=year"))["rows"]
        # What she did and what came of it may lie in two years.
        ann = [row for row in rows if row["person"] == "ann"]
        assert [sum(row[step] for row in ann) for step in ("activities", "meetings", "won")] == [3, 2, 1]

        shown = await Client(engine, tenant, "rep", "ann").get("/v1/coaching")
        assert shown["person"] == "ann"
        found = {each["key"]: each for each in shown["figures"]}
        assert (found["win_rate"]["n"], found["win_rate"]["verdict"]) == (1, "too_few_to_judge")
        assert found["conversion"]["team_median"] is None
        problem = await Client(engine, tenant, "rep", "ann").get("/v1/coaching?person=bob", 404)
        assert problem["code"] == "person_not_found"
        assert (await Client(engine, tenant, "manager", "mona").get("/v1/coaching?person=bob"))["person"] == "bob"


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("@x", "'@x"),
        ("-1.5", "-1.5"),
        ("+49", "'+49"),
        (None, ""),
        (3, "3"),
        ("-a", "'-a"),
        ("", ""),
        (" =1", "' =1"),
        ("\n=1", "'\n=1"),
        ("\uff1d1", "'\uff1d1"),
        ("a=1", "a=1"),
    ],
)
def test_a_text_that_begins_as_a_formula_stays_a_text(value: object, cell: str) -> None:
    assert safe_cell(value) == cell
