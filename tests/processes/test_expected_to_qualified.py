"""An appointment makes an expected opportunity; validated, it goes on in the pipeline of qualified ones."""

import pytest

from tests.processes.conftest import Company

pytestmark = pytest.mark.stack
EXPECTED, QUALIFIED = "Expected_Opportunity", "Qualified_Opportunity"
TEAM = {"account_executives": ["ann"], "sales_engineers": ["sid"], "associates": ["abe"]}


@pytest.mark.capability(67, 82, 95, 96, 97, 99, 100)
async def test_from_the_appointment_to_the_win_by_milestones(company: Company) -> None:
    await company.staff("ann", "sid", "abe")
    await company.install("expected_to_qualified", people=TEAM)
    await company.seen("001A", "target", "account", type="Target")
    await company.report(
        "001A", "cadence", "account", account__appointment_with="assistant", account__appointment_on="2027-01-15"
    )
    await company.at("001A", "target", "account")
    await company.report("001A", "cadence", "account", account__appointment_with="decision maker")
    await company.at("001A", "in_play", "account")
    expect = (await company.actions("001A", "account"))["expect"]
    assert (expect["kind"], expect["target"]) == ("create_record", "Opportunity")
    assert expect["fields"] == {
        "Name": "Expected", "AccountId": "001A", "StageName": "Appointment", "CloseDate": "2027-01-15",
        "RecordTypeId": EXPECTED,
    }  # fmt: skip

    # The CRM shows it, and it gets its team.
    await company.seen("006E", "appointment", record_type=EXPECTED, pipelines=["expected"])
    roles = {role: (await company.assigned("006E", role)).person_id for role in
             ("account_executive", "sales_engineer", "associate")}  # fmt: skip
    assert roles == {"account_executive": "ann", "sales_engineer": "sid", "associate": "abe"}
    await company.touch("006E", "meeting")
    await company.at("006E", "validation")
    # The milestones move it, whatever order they are reached in.
    await company.observe("006E", "validation", record_type=EXPECTED, next_step="Agree on the pilot")
    await company.at("006E", "validated")
    qualify = (await company.actions("006E"))["qualify"]
    assert (qualify["kind"], qualify["fields"]) == ("field_update", {"RecordTypeId": QUALIFIED})

    # Its record type changes: another pipeline has it now, and its history goes along.
    await company.observe("006E", "", record_type=QUALIFIED, pipelines=[])
    await company.at("006E", "solution", pipeline_key="qualified")
    for _ in range(2):
        await company.at("006E", "solution")
        await company.touch("006E", "meeting")
    await company.at("006E", "proposal")
    await company.move("006E", "won")
    hand_over = (await company.actions("006E"))["hand_over"]
    assert (hand_over["kind"], hand_over["target"], hand_over["text"]) == ("webhook", "delivery", "006E")
    assert await company.path("006E") == [
        "appointment", "validation", "validated", "solution", "proposal", "won"
    ]  # fmt: skip
    await company.replays("006E")

    # A dead one starts the disposition of the opportunity, and of its account.
    await company.seen("006D", "solution", record_type=QUALIFIED, pipelines=["qualified"])
    await company.at("006D", "solution")
    await company.move("006D", "lost", reason_code="NO_DECISION")
    assert (await company.actions("006D"))["account_disposition"]["kind"] == "task"
