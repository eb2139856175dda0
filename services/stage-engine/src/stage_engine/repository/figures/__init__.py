"""Figures as queries over what is kept with decisions: each reads the range of an index that its period names."""
