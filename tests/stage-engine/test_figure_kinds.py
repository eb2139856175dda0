"""How the value of a figure follows from what was counted, by numbers worked out by hand."""

from decimal import Decimal

import pytest
from stage_engine.domain.figures.catalogue import BY_KEY
from stage_engine.domain.figures.coaching import FEWEST_CASES, Verdict, compared, funnel_of
from stage_engine.domain.figures.kinds import Kind, Row, Tally, row_of, rows_of, wilson


def tally(numerator: str, denominator: str, n: int = 1, **more: object) -> Tally:
    given = {"group": "", "currency": "", "part": "", "extra": Decimal(0), "censored": 0, "excluded": 0, **more}
    return Tally(n=n, numerator=Decimal(numerator), denominator=Decimal(denominator), **given)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("kind", "parts", "value"),
    [
        (Kind.SHARE, [tally("3", "7", 7)], "0.4286"),
        (Kind.QUOTIENT, [tally("1.5", "4", 2)], "0.3750"),
        (Kind.QUOTIENT, [tally("1", "0")], None),
        (Kind.SHARE, [tally("0", "0", 0, censored=4)], None),
        (Kind.SUM, [tally("120.55", "2", 2)], "120.5500"),
        (Kind.MEDIAN_DAYS, [tally("172800", "2", 2, p50=Decimal(43200))], "0.5000"),
        # Four created, two won for 300 together in 10 days together: 4 × 2/4 × 150 ÷ 5.
        (Kind.VELOCITY, [tally("300", str(10 * 86400), 4, extra=Decimal(2))], "60.0000"),
        (Kind.ACCURACY, [tally("80", "100")], "0.8000"),
        (Kind.ACCURACY, [tally("80", "0")], None),
        (Kind.BIAS, [tally("150", "100")], "0.5000"),
        (Kind.ABSOLUTE_ERROR, [tally("50", "100", part="a"), tally("150", "100", part="b")], "0.5000"),
        # Of a person who won nothing there is no share to miss by.
        (Kind.ABSOLUTE_ERROR, [tally("50", "100", part="a"), tally("150", "0", part="b")], "0.5000"),
        (Kind.WIDEST_GAP, [tally("10", "12", part="a"), tally("10", "5", part="b")], "0.5000"),
    ],
)
def test_values(kind: Kind, parts: list[Tally], value: str | None) -> None:
    assert row_of(kind, parts).value == (None if value is None else Decimal(value))


def test_a_share_of_cases_has_wilsons_band_and_other_figures_have_none() -> None:
    row = row_of(Kind.SHARE, [tally("9", "10", 10)])
    # As the textbooks have it for 9 of 10.
    assert (row.low, row.high) == (Decimal("0.5958"), Decimal("0.9821"))
    assert wilson(0, 0) is None
    assert row_of(Kind.QUOTIENT, [tally("9", "10", 10)]).low is None


def test_medians_stand_beside_means_and_are_never_mixed() -> None:
    parts = [tally(str(86400 * 12), "3", 3, p50=Decimal(86400), p75=Decimal(86400 * 9), p90=Decimal(86400 * 9))]
    row = row_of(Kind.MEDIAN_DAYS, parts)
    assert (row.value, row.mean, row.p75, row.p90) == (Decimal(1), Decimal(4), Decimal(9), Decimal(9))


def test_currencies_are_rows_of_their_own() -> None:
    rows = rows_of(Kind.SUM, [tally("1", "1", currency="USD"), tally("2", "1", currency="EUR")])
    assert [(row.currency, row.value) for row in rows] == [("EUR", Decimal(2)), ("USD", Decimal(1))]


def of(person: str, value: str, n: int = FEWEST_CASES) -> Row:
    return Row(person, "", Decimal(value), n, Decimal(0), Decimal(n), 0, 0)


@pytest.mark.parametrize(
    ("key", "rows", "verdict"),
    [
        ("win_rate", [of("ann", "0.5"), of("bob", "0.3"), of("cat", "0.4")], Verdict.BETTER),
        ("sales_cycle", [of("ann", "50"), of("bob", "30"), of("cat", "40")], Verdict.WORSE),
        ("win_rate", [of("ann", "0.4"), of("bob", "0.3"), of("cat", "0.5")], Verdict.SAME),
        ("win_rate", [of("ann", "1", FEWEST_CASES - 1), of("bob", "0.3"), of("cat", "0.4")], Verdict.TOO_FEW),
        ("win_rate", [of("ann", "0.5"), of("bob", "0.3"), of("cat", "0.4", 1)], Verdict.NO_TEAM),
        ("activities", [of("ann", "5"), of("bob", "3"), of("cat", "4")], Verdict.DIFFERENT),
        ("win_rate", [of("bob", "0.3"), of("cat", "0.4")], Verdict.TOO_FEW),
    ],
)
def test_a_person_is_judged_on_enough_only(key: str, rows: list[Row], verdict: Verdict) -> None:
    [found] = compared(BY_KEY[key], rows, "ann")
    assert found.verdict is verdict


def test_the_funnel_has_a_row_for_each_person_who_did_anything() -> None:
    counts = {"activities": {("ann", "2026-01"): 3}, "meetings": {}, "created": {("bob", "2026-01"): 2},
              "won": {("ann", "2026-02"): 1}}  # fmt: skip
    rows = [(row.person, row.period, row.activities, row.opportunities, row.won) for row in funnel_of(counts)]
    assert rows == [("ann", "2026-01", 3, 0, 0), ("bob", "2026-01", 0, 2, 0), ("ann", "2026-02", 0, 0, 1)]
