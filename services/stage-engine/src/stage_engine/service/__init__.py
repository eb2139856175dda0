"""The use cases. They never commit: that is the edge's."""
