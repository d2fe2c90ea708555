"""The cameras' bodies: one process for all that need one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conformance.cameras import BodyProcess


@pytest.fixture(scope="session")
def body_process() -> Iterator[BodyProcess]:
    process = BodyProcess()
    yield process
    process.close()
