"""The beta distribution, which bounds a recommendation from below."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recommender.domain.beta import beta_cdf, beta_quantile


class TestBeta:
    @pytest.mark.parametrize(
        ("x", "a", "b", "expected"),
        [
            (0.3, 1, 1, 0.3),
            (0.5, 2, 2, 0.5),
            (0.2, 2, 3, 0.1808),  # polynomial 6x^2 - 8x^3 + 3x^4
            (0.9, 1, 5, 1 - 0.1**5),
            (0.7, 4, 1, 0.7**4),
        ],
    )
    def test_agrees_with_closed_forms(self, x, a, b, expected):
        assert beta_cdf(x, a, b) == pytest.approx(expected, abs=1e-10)

    @given(p=st.floats(0.01, 0.99), a=st.floats(0.1, 5_000), b=st.floats(0.1, 5_000))
    def test_quantile_inverts_the_distribution(self, p, a, b):
        x = beta_quantile(p, a, b)
        assert beta_cdf(x - 1e-8, a, b) <= p + 1e-6
        assert beta_cdf(x + 1e-8, a, b) >= p - 1e-6

    def test_outside_the_unit_interval(self):
        assert (beta_cdf(-1, 2, 3), beta_cdf(2, 2, 3)) == (0, 1)
