"""``macrorail export``: export a finished run to the file formats of other programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from macrorail.cli.messages import message_console
from macrorail.errors import ConfigError
from macrorail.results.export import ExportKind
from macrorail.results.export import export as write_exports
from macrorail.run_folder.record import read_record

_ALL = "all"
_CHOICES = ", ".join(kind.value for kind in ExportKind)


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="a run folder with its picture")],
    kinds: Annotated[
        list[str],
        typer.Option("--as", metavar="KIND", help=f"{_CHOICES} or {_ALL}; repeatable"),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="folder for the files; by default 'exports' in the run folder"),
    ] = None,
    scale_bar: Annotated[
        bool, typer.Option("--scale-bar", help="draw a scale bar into the JPEG")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the files as a JSON list")] = False,
) -> None:
    """Write a run's picture, depth and frames for other programs, and print the written files.

    tiff: 16 bits with colour profile, EXIF and metadata. jpeg: the same in 8 bits. ome-tiff:
    picture, depth and aligned frames as a Z stack. psd: the picture above all aligned slices with
    masks, for retouching; the masked slices approximate the picture. depth: float TIFF in
    micrometres. glb: textured surface. stereo, rocking: side views computed from the depth.
    frames: the aligned frames for another stacking program.

    RUN.json and RUN.xmp are also written. They contain the specimen, the instrument and the hash
    of every frame in Audiovisual Core and Darwin Core terms.

    Examples:

      macrorail export runs/20261122-200000-beetle --as tiff --as psd

      macrorail export runs/20261122-200000-beetle --as jpeg --scale-bar --out ~/paper
    """
    console = message_console()
    folder = out if out is not None else run / "exports"
    written = write_exports(
        read_record(run),
        read_kinds(kinds),
        folder,
        scale_bar,
        lambda kind: console.print(f"writing {kind.value}", markup=False),
    )
    if as_json:
        typer.echo(json.dumps([str(path) for path in written]))
    else:
        for path in written:
            typer.echo(path)


def read_kinds(names: list[str]) -> list[ExportKind]:
    """Return the formats that ``--as`` names, each once, in the order of the list of formats.

    Raises
    ------
    ConfigError
        A name is not the name of a format.
    """
    known = {kind.value: kind for kind in ExportKind}
    for name in names:
        if name != _ALL and name not in known:
            raise ConfigError(f"--as {name}: must be one of {_CHOICES} or {_ALL}")
    return [kind for name, kind in known.items() if name in names or _ALL in names]
