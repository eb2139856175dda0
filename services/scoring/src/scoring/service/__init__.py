"""The use cases. They never commit; the edge does."""
