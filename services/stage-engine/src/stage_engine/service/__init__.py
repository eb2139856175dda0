"""Use cases. None of them commits: the edge does."""
