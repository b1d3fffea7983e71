"""What the tests on the session's cluster share."""

from __future__ import annotations

import pytest
from conditions import wait_for_quiet


@pytest.fixture
def quiet(emulated: str) -> None:
    """Nothing of an earlier test runs or waits on the cluster, and decisions know that: for tests of busy queues."""
    wait_for_quiet()
