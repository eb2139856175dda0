"""Use cases. None commits: the edge does."""
