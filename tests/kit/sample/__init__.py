"""A service small enough to see the runtime through: it notes submissions and answers with scores."""
