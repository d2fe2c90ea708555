"""The process that verifies a run's frames: frames come by name, verdicts go back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from macrorail.proof.defocus import Optics
from macrorail.proof.evidence import Evidence
from macrorail.proof.settings import ProofSettings
from macrorail.workers import serve

_LESS_URGENT = 5


def _nothing_to_check() -> None:
    """The parent does the waiting."""


class ProofWorker:
    """One run's evidence."""

    def __init__(self) -> None:
        self._evidence: Evidence | None = None

    def begin(self, settings: dict[str, Any], folder: str) -> dict[str, Any]:
        """Start anew."""
        optics = Optics(**settings.pop("optics"))
        self._evidence = Evidence(ProofSettings(**settings, optics=optics), Path(folder))
        return {}

    def add(
        self, number: int, attempt: int, frame: str, position_um: float, dof_um: float
    ) -> dict[str, Any]:
        """Look at one frame."""
        evidence = self._begun()
        evidence.add(number, attempt, Path(frame), position_um, dof_um)
        return {"verdicts": evidence.verdicts()}

    def last_verdicts(self) -> dict[str, Any]:
        """Judge the newest frame without a next one."""
        return {"verdicts": self._begun().last_verdicts(_nothing_to_check)}

    def relocate(self, numbers: list[int], error_um: float) -> dict[str, Any]:
        """See ``FrameProof``."""
        return self._begun().relocate(numbers, error_um, _nothing_to_check)

    def missing(self) -> dict[str, Any]:
        """See ``FrameProof``."""
        return self._begun().missing(_nothing_to_check)

    def finish(self) -> dict[str, Any]:
        """See ``FrameProof``."""
        return self._begun().finish(_nothing_to_check)

    def _begun(self) -> Evidence:
        assert self._evidence is not None, "begin comes first"
        return self._evidence


def main() -> None:
    """Serve the parent until it closes the pipe, giving way to whoever drives the devices."""
    os.nice(_LESS_URGENT)
    worker = ProofWorker()
    serve(
        {
            "begin": worker.begin,
            "add": worker.add,
            "last_verdicts": worker.last_verdicts,
            "relocate": worker.relocate,
            "missing": worker.missing,
            "finish": worker.finish,
        }
    )


if __name__ == "__main__":
    main()
