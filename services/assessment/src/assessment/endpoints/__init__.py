"""The HTTP edge, by the use it serves."""
