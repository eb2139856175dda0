"""Business hours of a tenant, its teams and its people."""

import pytest

pytestmark = pytest.mark.stack
