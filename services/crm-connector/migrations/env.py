"""Runs this service's migrations."""

from kit.schema.migrations import run_migrations

run_migrations()
