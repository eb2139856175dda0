"""Every customer is called every 90 days, and who did not call is listed."""

from datetime import timedelta

import pytest

from tests.processes.conftest import Company

pytestmark = pytest.mark.stack


@pytest.mark.capability(26, 28)
async def test_a_task_comes_in_time_and_the_report_says_who_did_not_call(company: Company) -> None:
    await company.install("ninety_day_call")
    signed = company.now() - timedelta(days=100)
    for name, owner in (("called", "rita"), ("forgotten", "ron")):
        await company.seen(name, "customer", "account", at=signed, type="Customer", owner=owner)
    # Rita called 80 days ago, and it is time again; Ron never did.
    await company.touch("called", of="account", ago=timedelta(days=80))
    await company.at("called", "call_due", "account")
    task = (await company.actions("called", "account"))["call"]
    assert (task["kind"], task["text"], task["to"]) == ("task", "Call the customer", "rita")
    await company.due("forgotten", "never_called")
    await company.at("forgotten", "call_due", "account")
    assert (await company.actions("forgotten", "account"))["call"]["details"] == "Last called: never"

    missed = (await company.admin.get("/v1/obligations?state=missed"))["items"]
    assert [(each["opportunity_id"], each["owner_id"]) for each in missed] == [("forgotten", "ron")]
    until = (company.now() + timedelta(days=1)).isoformat().replace("+", "%2B")
    report = await company.admin.get(f"/v1/obligations/not?period=year&until={until}")
    not_in_time = {each["who"]: each["not_in_time"] for each in report["totals"] if each["not_in_time"]}
    assert not_in_time == {"ron": ["forgotten"]}

    # A call takes the customer back, and the clock starts anew.
    await company.touch("called", of="account")
    await company.at("called", "customer", "account")
    await company.due("called", "call_due")
    await company.at("called", "customer", "account")
    await company.move("called", "former", "account", reason_code="MOVED")
    assert "farewell" in await company.actions("called", "account")
    assert await company.path("called") == ["customer", "call_due", "customer", "former"]
    await company.replays("called", "account")
