"""One leads at a time, and a leader that falls silent is followed by another."""

import secrets

import pytest
from kit.relay.lease import MARGIN_SECONDS, TERM_SECONDS, Lease

pytestmark = pytest.mark.stack


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def name():
    return f"lead-{secrets.token_hex(4)}"


async def pass_term(connection, name):
    """The database's clock alone says when a term is past: here it is."""
    await connection.execute("UPDATE lease SET expires_at = clock_timestamp() WHERE name = $1", name)


async def test_one_holds_it_until_it_gives_it_back(service, name):
    one, other = Lease(name), Lease(name)
    async with service.database.held_by_relay() as connection:
        assert await one.hold(connection)
        assert not await other.hold(connection)
        assert one.valid and not other.valid
        await one.give_back(connection)
        assert not one.valid
        assert await other.hold(connection)
        assert not await one.hold(connection)


async def test_another_takes_over_once_the_term_of_a_silent_holder_is_past(service, name):
    silent, other = Lease(name), Lease(name)
    async with service.database.held_by_relay() as connection:
        assert await silent.hold(connection)
        await pass_term(connection, name)
        assert await other.hold(connection)
        silent.forget()
        assert not await silent.hold(connection)


async def test_another_takes_over_at_once_when_the_session_of_the_holder_has_ended(
    service, name, eventually, monkeypatch
):
    """As when its process is killed: its term, which is long here, would not end meanwhile."""
    monkeypatch.setattr("kit.relay.lease.TERM_SECONDS", 3600.0)
    killed, other = Lease(name), Lease(name)
    async with service.database.held_by_relay() as ending:
        assert await killed.hold(ending)
    async with service.database.held_by_relay() as connection:

        async def held():
            assert await other.hold(connection)

        await eventually(held)
        assert killed.valid


async def test_tenants_and_names_do_not_meet(service, name):
    async with service.database.held_by_relay() as connection:
        for lease in (Lease(name), Lease(name, "acme"), Lease(name, "globex"), Lease(f"{name}-2")):
            assert await lease.hold(connection)


async def test_a_holder_stops_acting_by_its_own_clock_before_another_can_begin(service, name, clock):
    lease = Lease(name, clock=clock)
    async with service.database.held_by_relay() as connection:
        assert await lease.hold(connection)
        clock.now += TERM_SECONDS - MARGIN_SECONDS + 0.1
        assert not lease.valid and lease.unexpired
        clock.now += MARGIN_SECONDS
        assert not lease.unexpired


async def test_it_is_renewed_by_asking_now_and_then_only(service, name, clock):
    lease, asked = Lease(name, clock=clock), []
    async with service.database.held_by_relay() as connection:
        connection.add_query_logger(lambda query: asked.append(query.query))
        for _ in range(40):
            assert await lease.hold(connection)
            clock.now += 0.5
    assert 5 <= len(asked) <= 8


async def test_the_application_cannot_take_it(service):
    async with service.database.unit_of_work("acme") as uow:
        from sqlalchemy import text
        from sqlalchemy.exc import ProgrammingError

        with pytest.raises(ProgrammingError, match="permission denied"):
            await uow.session.execute(text("UPDATE lease SET holder = 'me'"))
        await uow.session.rollback()
