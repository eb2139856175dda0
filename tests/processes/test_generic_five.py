"""The five steps, as a person sets them: the fifth is the hold."""

from datetime import timedelta

import pytest
from kit.ids import utc_now

from tests.processes.conftest import Company

pytestmark = pytest.mark.stack


@pytest.mark.capability(63)
async def test_a_person_sets_the_steps_and_what_is_deferred_comes_back_by_itself(company: Company) -> None:
    await company.install("generic_five")
    await company.seen("006N", "new")
    await company.at("006N", "new")
    await company.move("006N", "in_progress")
    shown = await company.shown("006N")
    until = (utc_now() + timedelta(days=60)).isoformat()
    body = {"reason": "Their budget year begins then.", "until": until}
    await company.admin.post("/v1/opportunities/006N/hold", body, match=shown["revision"])
    assert (await company.shown("006N"))["on_hold"] is True
    assert (await company.actions("006N"))["deferred"][
        "text"
    ] == "Deferred in In Progress: Their budget year begins then."
    await company.due("006N", "@hold")
    await company.at("006N", "in_progress", on_hold=False)
    assert (await company.actions("006N"))["resumed"]["text"] == "Take it up again in In Progress"
    await company.move("006N", "won")
    assert await company.path("006N") == ["new", "in_progress", "won"]

    await company.seen("006M", "new")
    await company.at("006M", "new")
    await company.move("006M", "lost", reason_code="PRICE")
    await company.at("006M", "lost")
    await company.replays("006N")
