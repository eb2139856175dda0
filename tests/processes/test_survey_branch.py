"""Who answers the survey and who does not part ways."""

import pytest

from tests.processes.conftest import Company

pytestmark = pytest.mark.stack


@pytest.mark.capability(51, 54, 55, 56, 70)
async def test_the_answers_say_which_way_it_goes_and_silence_goes_another(company: Company) -> None:
    await company.install("survey_branch")
    for name in ("advice", "service", "price", "silent", "late"):
        await company.seen(name, "surveyed")
    mail = (await company.actions("advice"))["survey"]
    assert (mail["kind"], mail["target"], mail["fields"]) == ("email", "service_survey", {"opportunity": "advice"})
    asked = (await company.admin.get("/v1/actions?state=open&kind=email"))["items"]
    assert len(asked) == 5

    # The next message follows the answers.
    await company.report("advice", "survey", survey__people="40", survey__wants="advice")
    await company.report("service", "survey", survey__wants="service")
    for name, target in (("advice", "offer_of_advice"), ("service", "offer_of_service")):
        await company.at(name, "conversation")
        actions = await company.actions(name)
        assert actions[name]["target"] == target
        assert actions["call"]["text"] == f"Talk about {name}"
    assert (await company.actions("advice"))["results"]["text"] == "They answered: advice, 40 people."
    assert (await company.actions("service"))["results"][
        "text"
    ] == "They answered: service, an unknown number of people."

    # Who asks for the price alone is walked away from, and classified.
    await company.report("price", "survey", survey__wants="price")
    await company.at("price", "walked_away", category="abandoned")
    classify = (await company.actions("price"))["classify"]
    assert (classify["kind"], classify["fields"]) == ("field_update", {"Description": "Not pursued: PRICE_ONLY"})

    # Who does not answer goes another way: once more, and then not at all.
    for name in ("silent", "late"):
        await company.due(name, "no_answer")
        await company.at(name, "no_answer")
        assert (await company.actions(name))["second_try"]["state"] == "open"
    await company.report("late", "survey", survey__wants="service")
    await company.at("late", "conversation")
    await company.due("silent", "gone")
    await company.at("silent", "lost")
    # An answer after the end moves nothing.
    await company.report("silent", "survey", survey__wants="advice")
    await company.at("silent", "lost")

    await company.move("advice", "won")
    assert await company.path("advice") == ["surveyed", "conversation", "won"]
    assert await company.path("late") == ["surveyed", "no_answer", "conversation"]
    for name in ("advice", "price", "late", "silent"):
        await company.replays(name)
