"""Use cases. None commits: the request, the consumed batch or the background loop does."""
