"""Facts survive an event as they are, and what cannot be read is unknown."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st
from kit.contracts.facts import FactValue, SeenFact, amount_of, fact_of, seen_facts
from stagecraft.common.v1.fact_pb2 import Fact

VALUES = st.one_of(
    st.none(),
    st.decimals(min_value=-(10**14), max_value=10**14, places=2),
    st.text(max_size=20).filter(lambda text: text.isprintable()),
    st.booleans(),
    st.dates(),
    st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(9999, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.frozensets(st.text(alphabet="abc ", min_size=1, max_size=5), max_size=4),
)


@given(VALUES)
def test_a_fact_comes_back_as_it_was_sent(value: FactValue | None) -> None:
    sent = Fact.FromString(fact_of("opportunity.x", value, currency="EUR", source="Opportunity.X").SerializeToString())
    (found,) = seen_facts([sent]).values()
    assert found == SeenFact("opportunity.x", value, "EUR", "Opportunity.X")
    assert type(found.value) is type(value)


@pytest.mark.parametrize(
    "bad",
    [
        {"decimal": "x"},
        {"decimal": "NaN"},
        {"decimal": "1e400"},
        {"decimal": "1234567890123456"},
        {"date": "x"},
        {"instant": Timestamp(seconds=10**17)},
        {"text": "fine", "observed_at": Timestamp(seconds=10**17)},
    ],
    ids=str,
)
def test_what_cannot_be_read_is_unknown_and_says_so(bad: dict[str, Any]) -> None:
    found = seen_facts([Fact(name="a.b", **bad), Fact(name="a.c", text="read"), Fact(text="nameless")])
    assert (found["a.b"].value, found["a.b"].unread) == (None, True)
    assert (found["a.c"].value, found["a.c"].unread) == ("read", False)
    assert set(found) == {"a.b", "a.c"}


def test_an_emptied_fact_is_unknown_but_was_read() -> None:
    assert seen_facts([Fact(name="a.b")])["a.b"] == SeenFact("a.b")


def test_the_amount_is_a_number_or_unknown() -> None:
    assert amount_of([fact_of("opportunity.amount", Decimal("12.50"))]) == Decimal("12.5")
    assert amount_of([fact_of("opportunity.amount", "12.50")]) is None
    assert amount_of([fact_of("opportunity.close_date", date(2026, 1, 1))]) is None
