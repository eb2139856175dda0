"""Marks what needs more than Python, by the fixtures a test asks for."""

import gc
import os

import pytest
from hypothesis import HealthCheck, settings

# A service refuses to start without them. Commands that tests start inherit it.
os.environ.setdefault("ENVIRONMENT", "test")
os.environ.setdefault("CRM_ADAPTER", "recording")
PROCESSES = {"infrastructure", "org", "own_org", "broker"}

# Machines here are shared: a slow moment is no failure, and a property fails by its example, not by its time.
settings.register_profile("stagecraft", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# `make test` tries each property with 100 examples, `make test-fast` with fewer.
settings.register_profile("fast", settings.get_profile("stagecraft"), max_examples=25)
settings.load_profile("stagecraft")


def pytest_collection_modifyitems(items):
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if "system" in fixtures:
            item.add_marker(pytest.mark.e2e)
        elif fixtures & PROCESSES:
            item.add_marker(pytest.mark.stack)


def pytest_sessionstart():
    """Collecting makes objects and no garbage; looking for some takes a third of its time."""
    gc.disable()


def pytest_collection_finish():
    """What was collected stays, so the collector need not look at it again."""
    gc.freeze()
    gc.enable()
