"""The cameras' bodies, one process for all that need one, and the camera of a test's world."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance.cameras import BodyProcess, CameraWorld


@pytest.fixture(scope="session")
def body_process() -> Iterator[BodyProcess]:
    process = BodyProcess()
    yield process
    process.close()


@pytest.fixture
def camera(world: CameraWorld) -> Iterator[Any]:
    """The camera of the ``world`` that a test module makes, open."""
    made = world.make()
    made.open()
    yield made
    made.close()
