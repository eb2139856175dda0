"""Holding calls back from a CRM that does not reply."""

from crm_connector.domain.breaker import Breaker


class TestBreaker:
    def test_opens_after_three_and_lets_one_try(self) -> None:
        now = [0.0]
        breaker = Breaker(lambda: now[0])
        breaker.failed()
        breaker.failed()
        assert not breaker.is_open
        assert breaker.doubtful
        breaker.failed()
        assert breaker.remaining == 1
        now[0] = 1
        assert not breaker.is_open
        breaker.failed()
        assert breaker.remaining == 2
        now[0] = 3
        breaker.succeeded()
        assert not breaker.doubtful

    def test_the_longer_pause_counts(self) -> None:
        breaker = Breaker(lambda: 0.0)
        breaker.trip(30)
        breaker.trip(5)
        assert breaker.remaining == 30
