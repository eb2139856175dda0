"""Durations as they are written."""

import pytest
from stage_engine.domain.clocks import duration_of


class TestDurations:
    @pytest.mark.parametrize("text", ["", "d", "1y", "1.5h", "-1d", "3651d", "501bd", "100000m"])
    def test_what_is_none_is_named(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"duration|too long"):
            duration_of(text)

    @pytest.mark.parametrize("text", ["0m", "0h", "0d", "00w", "0bh", "0bd"])
    def test_no_time_at_all_is_none(self, text: str) -> None:
        with pytest.raises(ValueError, match=rf"^{text} is no time at all; at least 1[mhdwb]+ is allowed$"):
            duration_of(text)
