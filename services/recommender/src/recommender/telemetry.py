"""Metrics of the recommender, with what a rise of each means."""

from prometheus_client import Counter

RECOMMENDATIONS = Counter("recommendations_total", "Recommendations: answered, or abstained for too few cases; only abstained means that nothing is learned", ["outcome"])  # fmt: skip  # noqa: E501
