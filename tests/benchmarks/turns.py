"""Speed by itself: the programs one after the other, in rounds, as a machine's pace changes."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable
from pathlib import Path

import cv2

from tests.benchmarks.programs import Timing, run_timed

_ROUNDS = 3
# Of the cuttings by which starting is measured: what three of them take is little else.
_CUTTING = (slice(0, 160), slice(0, 240))
_AGAINST = "FocusWeave 2.0.0"


def turns(folder: Path, reference: int, commands: dict[str, str]) -> str:
    """Time the commands in rounds, after one that does not count; Markdown.

    Parameters
    ----------
    folder
        Of ``make_scene``.
    reference
        The frame in whose geometry the pictures are to lie.
    commands
        Of ``programs``; those but ours and FocusWeave's are left out, they take minutes.
    """
    frames = sorted(folder.glob("f_*.jpg"))
    cuttings = _cuttings(frames[:3], folder / "cuttings")
    commands = {
        name: one for name, one in commands.items() if name.startswith(("macrorail", _AGAINST))
    }
    whole: dict[str, list[Timing]] = {name: [] for name in commands}
    start: dict[str, list[Timing]] = {name: [] for name in commands}
    for round_number in range(_ROUNDS + 1):
        for name, template in commands.items():
            starting = _run(template, cuttings, 1, folder)
            timing = _run(template, frames, reference, folder)
            print(f"{round_number} {name} {timing} starting {starting}", file=sys.stderr)
            if round_number:
                whole[name].append(timing)
                start[name].append(starting)
    rows = [
        "| | wall s | of which start-up | CPU s | of which start-up | peak GB | "
        "wall time, times as fast | … without start-up | CPU time, times as fast | … without "
        "start-up |",
        f"|{'---|' * 10}",
    ]
    for name in commands:
        alone = zip(whole[name], start[name], strict=True)
        of_peer = zip(whole[_AGAINST], start[_AGAINST], strict=True)
        pairs = [(*ours, *peers) for ours, peers in zip(alone, of_peer, strict=True)]
        ratios = [
            _spread([peer.wall_s / one.wall_s for one, _, peer, _ in pairs]),
            _spread(
                [
                    (peer.wall_s - peer_start.wall_s) / (one.wall_s - one_start.wall_s)
                    for one, one_start, peer, peer_start in pairs
                ]
            ),
            _spread([peer.cpu_s / one.cpu_s for one, _, peer, _ in pairs]),
            _spread(
                [
                    (peer.cpu_s - peer_start.cpu_s) / (one.cpu_s - one_start.cpu_s)
                    for one, one_start, peer, peer_start in pairs
                ]
            ),
        ]
        rows.append(
            f"| {name} | {_middle(whole[name], lambda one: one.wall_s):.1f} | "
            f"{_middle(start[name], lambda one: one.wall_s):.1f} | "
            f"{_middle(whole[name], lambda one: one.cpu_s):.1f} | "
            f"{_middle(start[name], lambda one: one.cpu_s):.1f} | "
            f"{max(one.peak_mb for one in whole[name]) / 1e3:.2f} | {' | '.join(ratios)} |"
        )
    return "\n".join(rows)


def _run(template: str, frames: list[Path], reference: int, folder: Path) -> Timing:
    inputs = frames[0].parent / "inputs"
    inputs.mkdir(exist_ok=True)
    for path in frames:
        link = inputs / path.name
        if not link.exists():
            link.symlink_to(path.resolve())
    command = template.format(
        frames=" ".join(map(str, frames)),
        folder=inputs,
        out=folder / "turn",
        n0=reference,
        n1=reference + 1,
    )
    return run_timed(command.split())[0]


def _cuttings(frames: list[Path], folder: Path) -> list[Path]:
    """A piece of each of some frames."""
    folder.mkdir(exist_ok=True)
    pieces = [folder / path.name for path in frames]
    for path, piece in zip(frames, pieces, strict=True):
        picture = cv2.imread(str(path))
        assert picture is not None
        height, width = picture.shape[:2]
        middle = picture[height // 2 :, width // 2 :][_CUTTING]
        cv2.imwrite(str(piece), middle)
    return pieces


def _middle(timings: list[Timing], of: Callable[[Timing], float]) -> float:
    return statistics.median(map(of, timings))


def _spread(ratios: list[float]) -> str:
    return f"**{statistics.median(ratios):.1f}** ({min(ratios):.1f} to {max(ratios):.1f})"
