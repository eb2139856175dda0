"""The recommender's reasoning, free of I/O: bands of scores, histories of opportunities, the count model."""
