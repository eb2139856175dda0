from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from recommender.domain.bands import INCOMPLETE, MOST_BANDS, banding

decimals = st.decimals(-1000, 1000, places=2)


def numbers(*values: int) -> list[Decimal]:
    return [Decimal(value) for value in values]


def test_each_of_few_reachable_scores_is_its_own_band():
    bands = banding(
        percent=False,
        reachable_min=Decimal(10),
        reachable_max=Decimal(70),
        reachable_scores=numbers(10, 20, 40, 50, 70),
    )
    assert bands.names == ("10", "20", "40", "50", "70")
    assert [bands.band(Decimal(score)) for score in (10, 40, 70)] == ["10", "40", "70"]


def test_many_reachable_scores_make_ten_runs_of_equal_length():
    bands = banding(
        percent=True,
        reachable_min=Decimal(0),
        reachable_max=Decimal(40),
        reachable_scores=numbers(*range(0, 100, 5)),
    )
    assert len(bands.names) == MOST_BANDS
    assert (bands.names[0], bands.names[-1]) == ("0..5%", "90..95%")
    assert bands.band(Decimal(90)) == bands.band(Decimal(95)) != bands.band(Decimal(85))


def test_without_a_list_the_reachable_range_is_cut_into_tenths():
    bands = banding(percent=False, reachable_min=Decimal(20), reachable_max=Decimal(70), reachable_scores=[])
    assert bands.names[0] == "[20,25)"
    assert bands.names[-1] == "[65,70]"
    assert bands.band(Decimal("24.99")) == "[20,25)"
    assert bands.band(Decimal(25)) == "[25,30)"
    assert bands.band(Decimal(70)) == "[65,70]"


def test_percentages_are_cut_between_0_and_100_whatever_the_raw_bounds():
    bands = banding(percent=True, reachable_min=Decimal(5), reachable_max=Decimal(12), reachable_scores=[])
    assert bands.band(Decimal(100)) == "[90,100]%"


def test_a_profile_with_one_reachable_score_has_one_band():
    bands = banding(percent=False, reachable_min=Decimal(5), reachable_max=Decimal(5), reachable_scores=[])
    assert bands.names == ("5",)


def test_a_blocked_score_has_a_band_of_its_own():
    bands = banding(percent=False, reachable_min=Decimal(0), reachable_max=Decimal(9), reachable_scores=[])
    assert bands.band(None) == INCOMPLETE
    assert INCOMPLETE not in bands.names


@given(
    percent=st.booleans(),
    bounds=st.tuples(decimals, decimals).map(sorted),
    listed=st.lists(decimals, max_size=40),
    scores=st.lists(decimals, min_size=2, max_size=20),
)
def test_bands_partition_every_score_in_order(percent, bounds, listed, scores):
    bands = banding(percent=percent, reachable_min=bounds[0], reachable_max=bounds[1], reachable_scores=listed)
    assert len(set(bands.names)) == len(bands.names) == len(bands.edges) <= MOST_BANDS
    positions = [bands.names.index(bands.band(score)) for score in sorted(scores)]
    assert positions == sorted(positions)
    for edge, name in zip(bands.edges, bands.names, strict=True):
        assert bands.band(edge) == name
