"""Use cases: learning from events and recommending on them, and reading what was learned and recommended."""

from recommender.service.learning import Learning
from recommender.service.reading import Reading

__all__ = ["Learning", "Reading"]
