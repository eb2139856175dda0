"""The field example, from the first sight of an opportunity to its win."""

import pytest

from tests.processes.conftest import Company

pytestmark = pytest.mark.stack
ANSWERS = {
    "prospecting": {"hours": "over_5", "compliance": "yes"},
    "discovery": {
        "decision_maker": "met",
        "pains": ["manual_work", "audit", "reporting", "growth"],
        "months_to_decision": 2,
        "budget_approved": True,
        "budget_owner": "yes",
    },
    "demo": {
        "attendees": 6,
        "decision_maker_present": True,
        "valued_features": ["automation", "integrations", "dashboards"],
        "reaction": "enthusiastic",
        "objections": False,
    },
    "sales_feedback": {
        "verbal_commitment": True,
        "contract": "signed",
        "start_date_agreed": "yes",
        "blockers": ["none"],
    },
}


async def test_four_assessments_lead_through_four_rules_to_the_win(company: Company) -> None:
    await company.install("field_example")
    await company.seen("006F", "prospecting")
    following = ("discovery", "demo", "negotiation", "closed_won")
    for (assessment, answers), stage in zip(ANSWERS.items(), following, strict=True):
        await company.submit("006F", assessment, answers)
        await company.at("006F", stage)
    assert await company.path("006F") == ["prospecting", *following]
    await company.replays("006F")


async def test_less_than_the_most_is_not_enough_and_says_so(company: Company) -> None:
    await company.install("field_example")
    await company.seen("006G", "prospecting")
    await company.submit("006G", "prospecting", {"hours": "over_5", "compliance": "no"})
    [reason] = await company.judged("006G")
    assert (reason["code"], reason["fact"], reason["margin"]) == ("FAILED", "prospecting.score", "-20")
    await company.at("006G", "prospecting")
