"""The child process that shoots a run, resumes a run or stacks, and reports the result."""

from __future__ import annotations

import json
import sys
import traceback
from pathlib import Path
from typing import Any

from macrorail.errors import MacrorailError
from macrorail.session.background import ANSWERS, REQUEST
from macrorail.session.observer import RunObserver
from macrorail.session.run import resume_run, start_run
from macrorail.session.stack import (
    StackOutputs,
    StackSettings,
    stack_photographs,
    write_stacked,
)
from macrorail.stacking.register import Motion


class _Answers(RunObserver):
    """Writes answers as JSON lines to the scratch folder, while the folder exists."""

    def __init__(self, scratch: Path) -> None:
        self._path = scratch / ANSWERS

    def say(self, **answer: Any) -> None:
        """Append the keyword arguments as one JSON line."""
        if self._path.parent.is_dir():
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(answer) + "\n")

    def on_folder(self, folder: Path) -> None:
        """See :class:`RunObserver`."""
        self.say(folder=str(folder))


def _run(answers: _Answers, protocol: str, rig: str, out: str, scratch: Path) -> None:
    path = scratch / "protocol.yaml"
    path.write_text(protocol, encoding="utf-8")
    outcome = start_run(path, Path(rig), Path(out), answers)
    if outcome.error is not None:
        raise outcome.error


def _resume(answers: _Answers, folder: str) -> None:
    outcome = resume_run(Path(folder), answers)
    if outcome is not None and outcome.error is not None:
        raise outcome.error


def _stack(folder: str, output: str, quality: Any, reference: str, motion: str | None) -> None:
    settings = StackSettings(
        quality=quality,
        reference=reference,
        motion=None if motion is None else Motion(motion),
        scratch=Path(output).parent,
        depth=False,
    )
    outputs = StackOutputs(Path(output))
    stacked = stack_photographs([Path(folder)], settings, outputs=outputs)
    write_stacked(stacked, outputs)


def main() -> int:
    """Carry out the request in the scratch folder (``sys.argv[1]``); return the exit code."""
    scratch = Path(sys.argv[1])
    request = json.loads((scratch / REQUEST).read_text(encoding="utf-8"))
    answers = _Answers(scratch)
    try:
        match request.pop("do"):
            case "run":
                _run(answers, scratch=scratch, **request)
            case "resume":
                _resume(answers, **request)
            case "stack":
                _stack(**request)
    except MacrorailError as error:
        answers.say(error=str(error))
        return error.exit_code
    except Exception as error:
        traceback.print_exc()
        answers.say(error=f"this is a bug in macrorail: {type(error).__name__}: {error}")
        return 70
    answers.say(done=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
