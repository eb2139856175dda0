"""Durations as they are written."""

import pytest
from stage_engine.domain.clocks import duration_of


class TestDurations:
    @pytest.mark.parametrize("text", ["", "d", "1y", "1.5h", "-1d", "3651d", "501bd", "100000m"])
    def test_what_is_none_is_named(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"duration|too long"):
            duration_of(text)
