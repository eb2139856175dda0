"""A lead gets a person, a first call within two hours of business, and becomes an opportunity once BANT is complete."""

from datetime import timedelta

import pytest

from tests.processes.conftest import Company

pytestmark = pytest.mark.stack
STRONG = {"budget": "approved", "authority": "decides", "need": "urgent", "timing": "year"}


@pytest.mark.capability(27, 29, 34)
async def test_a_complete_and_strong_bant_converts_the_lead(company: Company) -> None:
    await company.staff("rita", "ron", "sam")
    await company.install("bant_lead", people={"inside_sales": ["rita", "ron"], "specialists": ["sam"]})
    for name in ("00Qa", "00Qb"):
        await company.seen(name, "new", "lead", company="Lund AB", industry="Retail", owner="queue")
    await company.seen("00Qc", "new", "lead", company="Bank One", industry="Banking", owner="queue")
    for name in ("00Qa", "00Qb", "00Qc"):
        await company.assigned(name)
    given = {name: (await company.assigned(name)).person_id for name in ("00Qa", "00Qb", "00Qc")}
    assert ({given["00Qa"], given["00Qb"]}, given["00Qc"]) == ({"rita", "ron"}, "sam")
    call = (await company.actions("00Qa", "lead"))["first_call"]
    assert (call["kind"], call["text"], call["to"]) == ("task", "Call Lund AB", given["00Qa"])

    # The CRM takes over the owner that the rules chose.
    owner = given["00Qa"]
    await company.observe("00Qa", "new", "lead", company="Lund AB", industry="Retail", owner=owner)
    await company.touch("00Qa", of="lead")
    await company.at("00Qa", "working", "lead")
    weak = {**STRONG, "budget": "none", "need": "curious"}
    await company.submit("00Qa", "bant", weak, "lead")
    lacks = await company.judged("00Qa", "lead")
    assert ("bant.score", "-30") in [(each["fact"], each["margin"]) for each in lacks]
    # Three answers are no BANT: the fourth is required.
    await company.submit("00Qa", "bant", {k: v for k, v in STRONG.items() if k != "timing"}, "lead", refused=True)
    await company.submit("00Qa", "bant", STRONG, "lead")
    await company.at("00Qa", "qualified", "lead")
    convert = (await company.actions("00Qa", "lead"))["convert"]
    assert (convert["kind"], convert["state"], convert["text"]) == ("convert_lead", "open", "Lund AB")
    assert await company.path("00Qa") == ["new", "working", "qualified"]
    await company.replays("00Qa", "lead")


@pytest.mark.capability(30, 31)
async def test_the_first_call_is_owed_within_two_hours_of_business(company: Company) -> None:
    await company.install("bant_lead")
    now = company.now()
    # Half an hour of Friday is left; the rest is Monday's.
    friday = now - timedelta(days=(now.weekday() - 4) % 7 + 7)
    came = friday.replace(hour=16, minute=30, second=0, microsecond=0)
    monday = came.replace(hour=10) + timedelta(days=3)
    for name in ("00Qd", "00Qe", "00Qf"):
        await company.seen(name, "new", "lead", at=came, company=name)
    called = {"00Qd": monday - timedelta(minutes=10), "00Qe": monday + timedelta(minutes=10)}
    for name, at in called.items():
        await company.touch(name, of="lead", ago=company.now() - at)
        await company.at(name, "working", "lead")
    owed = {o["opportunity_id"]: o for o in (await company.admin.get("/v1/obligations"))["items"]}
    assert {name: each["state"] for name, each in owed.items()} == {"00Qd": "met", "00Qe": "late", "00Qf": "missed"}
    assert owed["00Qd"]["due"] == monday.replace(minute=30).isoformat().replace("+00:00", "Z")
