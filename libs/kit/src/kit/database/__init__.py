"""Transactions, tables and schema changes."""
