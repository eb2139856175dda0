"""What is read from events, and what is refused."""

from typing import Any

import pytest
from crm_connector.messages import read_evidence
from kit.errors import InvalidEvent


@pytest.mark.parametrize("score", ["seventy", "NaN", "Infinity", "1e"])
def test_numbers_that_are_none_are_refused(make: Any, score: str) -> None:
    with pytest.raises(InvalidEvent, match="bad_decimal: score"):
        read_evidence(make.scored("006A", score=score))
