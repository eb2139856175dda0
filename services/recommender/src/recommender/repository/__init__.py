"""Every query of the service, by the use it serves. Batches read and write each table with one statement."""

from recommender.repository.counts import CountRepository
from recommender.repository.histories import HistoryRepository
from recommender.repository.recommendations import RecommendationRepository
from recommender.repository.replicas import ReplicaRepository

__all__ = ["CountRepository", "HistoryRepository", "RecommendationRepository", "ReplicaRepository"]
