"""Schema changes: written with it, and carried out by it."""
