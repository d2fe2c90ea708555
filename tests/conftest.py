"""What every test shares: Hypothesis kept free of wall time, and nothing left behind."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A busy machine must not fail a test: no deadlines. No example database: tests leave no files.
settings.register_profile(
    "macrorail",
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("macrorail")


def pytest_addoption(parser: pytest.Parser) -> None:
    """A rig file whose real devices the conformance tests are to run on; they will move."""
    parser.addoption("--rig", type=Path, default=None, help="rig file of real devices to test")


@pytest.fixture(scope="session", autouse=True)
def _scratch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what killed programs leave behind out of the machine's own temporary folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(tmp_path_factory.mktemp("scratch")))
        patch.setattr(tempfile, "tempdir", None)
        yield
