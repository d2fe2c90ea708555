"""The worker process of the image proof: receives the paths of frames and returns verdicts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from macrorail.proof.defocus import ClaimedOptics
from macrorail.proof.image_proof import ImageProof
from macrorail.proof.settings import ProofSettings
from macrorail.workers import serve

_NICENESS = 5


def _nothing_to_check() -> None:
    """Do nothing: the parent process waits for results and can interrupt its wait."""


class ProofWorker:
    """Handles the parent's requests for the image proof of one run."""

    def __init__(self) -> None:
        self._proof: ImageProof | None = None

    def begin(self, settings: dict[str, Any], folder: str) -> dict[str, Any]:
        """Start the proof of a run."""
        optics = ClaimedOptics(**settings.pop("optics"))
        self._proof = ImageProof(ProofSettings(**settings, optics=optics), Path(folder))
        return {}

    def add(
        self, number: int, attempt: int, frame: str, position_um: float, dof_um: float
    ) -> dict[str, Any]:
        """Check one frame and return the verdicts that are now possible."""
        proof = self._begun()
        proof.add(number, attempt, Path(frame), position_um, dof_um)
        return {"verdicts": proof.verdicts()}

    def last_verdicts(self) -> dict[str, Any]:
        """Return the verdict on the newest frame, without waiting for the next frame."""
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

    def _begun(self) -> ImageProof:
        assert self._proof is not None, "begin comes first"
        return self._proof


def main() -> None:
    """Serve the parent until it closes the pipe, with lower priority than the device workers."""
    os.nice(_NICENESS)
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
