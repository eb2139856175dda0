"""One scorecard in every stage: each stage asks for its own letters."""

import pytest

from tests.processes.conftest import Company

pytestmark = pytest.mark.stack
LETTERS = ("metrics", "economic_buyer", "decision_criteria", "decision_process", "pain", "champion")


def card(*known: str) -> dict[str, str]:
    return {letter: "known" if letter in known else "heard" for letter in LETTERS}


async def test_each_stage_is_left_by_its_own_letters_and_a_lost_buyer_leads_one_stage_back(company: Company) -> None:
    await company.install("meddic")
    await company.seen("006M", "qualify")
    await company.submit("006M", "meddic", card("metrics"))

    async def lacks_the_pain() -> None:
        shown = await company.shown("006M")
        assert [each["key"] for each in shown["criteria"] if not each["met"]] == ["pain"]

    await company.until(lacks_the_pain)
    await company.submit("006M", "meddic", card("metrics", "pain"))
    await company.at("006M", "develop")
    strong = ("metrics", "pain", "economic_buyer", "decision_criteria")
    await company.submit("006M", "meddic", card(*strong))
    await company.at("006M", "prove")
    # The buyer has left: one stage back, not two.
    await company.submit("006M", "meddic", card("metrics", "pain", "decision_criteria", "champion"))
    await company.at("006M", "develop")
    await company.submit("006M", "meddic", card(*strong))
    await company.at("006M", "prove")
    await company.submit("006M", "meddic", card(*LETTERS))
    await company.to_confirm("006M")
    await company.move("006M", "won")
    assert await company.path("006M") == ["qualify", "develop", "prove", "develop", "prove", "won"]
    await company.replays("006M")
