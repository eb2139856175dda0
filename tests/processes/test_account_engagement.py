"""An engaged account that fits is researched, taken along, worked, and handed over."""

import pytest

from tests.processes.conftest import Company

pytestmark = pytest.mark.stack


@pytest.mark.capability(88, 89, 90, 91, 94)
async def test_engagement_and_fit_bring_an_account_to_a_representative(company: Company) -> None:
    await company.staff("rita", "ron")
    await company.install("account_engagement", people={"sales_development": ["rita", "ron"]})
    for name in ("fits", "unfit"):
        await company.seen(name, "to_be_marketed", "account", owner="marketing")
    first = (await company.assigned("fits")).person_id

    # Engagement alone is not enough, and neither is fit.
    await company.report("unfit", "marketing", "account", account__engagement="95", account__fit="D")
    await company.report("fits", "marketing", "account", account__fit="A", account__play="security")
    await company.at("unfit", "to_be_marketed", "account")
    await company.report("fits", "marketing", "account", account__engagement="70")
    await company.at("fits", "research", "account")
    assert (await company.actions("fits", "account"))["research"]["kind"] == "task"

    await company.report("fits", "research", "account", account__researched=True)
    await company.at("fits", "engaged", "account")
    track = (await company.actions("fits", "account"))["engage"]
    assert (track["kind"], track["target"], track["fields"]) == ("enrol", "engagement_track", {"play": "security"})
    await company.report("fits", "marketing", "account", account__engagement="85")
    await company.at("fits", "active_prospect", "account")
    actions = await company.actions("fits", "account")
    assert [actions[key]["target"] for key in ("leave_track", "cadence")] == ["engagement_track", "sdr_cadence"]

    # What is left alone goes to another one.
    await company.due("fits", "@idle")
    second = (await company.assigned("fits", besides=first)).person_id
    assert {first, second} == {"rita", "ron"}

    await company.report("fits", "cadence", "account", account__cadence="exhausted")
    await company.at("fits", "nurture", "account")
    actions = await company.actions("fits", "account")
    assert (actions["stop"]["kind"], actions["nurture"]["target"]) == ("unenrol", "nurture_programme")

    # The portfolio by stage.
    funnel = await company.admin.get("/v1/accounts?stage=nurture")
    assert [each["opportunity_id"] for each in funnel["items"]] == ["fits"]

    # A meeting only proposes the end; a person says so.
    await company.touch("fits", "meeting", "account")
    await company.to_confirm("fits", "account")
    await company.move("fits", "customer", "account")
    assert await company.path("fits") == [
        "to_be_marketed", "research", "engaged", "active_prospect", "nurture", "customer"
    ]  # fmt: skip
    await company.replays("fits", "account")
