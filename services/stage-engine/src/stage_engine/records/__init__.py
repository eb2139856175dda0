"""Rows as values: what the repositories take and give. Their fields are columns of the tables in `models`."""
