"""Metrics of the recommender, with what a rise of each means."""

from prometheus_client import Counter

RECOMMENDATIONS = Counter("recommendations_total", "Recommendations: answered, abstained for too few cases, or given up because what they wait for did not come; a rise of abstained means that the model has lost cases, or that new pipelines have none: ask GET /v1/model", ["outcome"])  # fmt: skip  # noqa: E501
