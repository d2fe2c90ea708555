"""The process that makes stacks on this machine, one after another."""

from __future__ import annotations

from typing import Any

from macrorail.batch.job import StackJob
from macrorail.batch.work import make_stack
from macrorail.workers import serve


def stack(job: dict[str, Any]) -> dict[str, Any]:
    """Make one stack and return its record."""
    return make_stack(StackJob.from_dict(job))


if __name__ == "__main__":
    serve({"stack": stack})
