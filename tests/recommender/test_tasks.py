"""What the recommender gives up waiting for."""

import pytest
from recommender.tasks import give_up
from sqlalchemy import text

pytestmark = pytest.mark.stack


async def test_what_does_not_come_is_no_longer_waited_for(world, say):
    await world.define()
    for number in range(3):
        await world.apply(say.scored(f"opportunity-{number}"))
    assert (await world.get("/v1/model")).json()["waiting"] == {"visit": 3}
    async with world.service.database.unit_of_work(world.tenant) as uow:
        old = "UPDATE parked_submission SET parked_at = now() - interval '31 days'"
        await uow.session.execute(text(f"{old} WHERE opportunity_id <> 'opportunity-0'"))
    assert await give_up(world.service.database, 30) == 2
    assert (await world.get("/v1/model")).json()["waiting"] == {"visit": 1}
    await world.apply(say.stage_changed("opportunity-0", 1, "prospecting"))
    assert (await world.get("/v1/model")).json()["waiting"] == {}
