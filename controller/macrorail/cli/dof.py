"""``macrorail dof``: the depth-of-field calculator, with the formulas that plans use."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from macrorail.errors import ConfigError
from macrorail.optics.dof import (
    PIXELS_PER_COC,
    depth_of_field,
    effective_f_number,
    effective_f_number_of_na,
    object_pixel_um,
    wave_dof_um,
)
from macrorail.quantity import format_length, parse_length

Figures = dict[str, float | str | None]

_LABELS = {
    "effective_f_number": "effective f-number",
    "na": "numerical aperture",
    "geometric_um": "depth of field, geometric",
    "wave_um": "depth of field, wave",
    "limiting_um": "depth of field that plans use",
    "object_pixel_um": "a pixel on the specimen",
    "coc_um": "circle of confusion",
    "wavelength_um": "wavelength",
}


def dof(
    magnification: Annotated[
        float | None, typer.Option("-m", "--magnification", help="image size over object size")
    ] = None,
    f_number: Annotated[
        float | None, typer.Option("-N", "--f-number", help="f-number marked on the lens")
    ] = None,
    na: Annotated[
        float | None, typer.Option("--na", help="numerical aperture, instead of -N")
    ] = None,
    coc: Annotated[str, typer.Option(help="circle of confusion on the sensor")] = "9 um",
    wavelength: Annotated[str, typer.Option(help="wavelength of the light")] = "550 nm",
    pupil_ratio: Annotated[float, typer.Option(help="exit over entrance pupil diameter")] = 1.0,
    immersion: Annotated[
        float,
        typer.Option(help="refractive index of the medium at the objective: 1.33 water, 1.52 oil"),
    ] = 1.0,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON, lengths in um")] = False,
) -> None:
    """Compute the depth of field and show whether the blur disc or diffraction limits it.

    Plans use the smaller of the geometric (blur disc) and the wave-optical (quarter wave) depth.
    A pixel is half the circle of confusion, as in plans.

    Examples:

      macrorail dof -m 2 -N 5.6

      macrorail dof -m 10 --na 0.28 --coc 8um --json

      macrorail dof -m 60 --na 1.2 --immersion 1.33
    """
    _check_given(magnification, f_number, na)
    for option, number in (("-m", magnification), ("-N", f_number), ("--na", na)):
        _check_positive(option, number)
    _check_positive("--pupil-ratio", pupil_ratio)
    _check_immersion(immersion, na)
    coc_um, wavelength_um = _length("--coc", coc), _length("--wavelength", wavelength)
    if magnification is None:
        assert na is not None
        figures = _without_magnification(na, wavelength_um, immersion)
    else:
        if f_number is not None:
            effective = effective_f_number(f_number, magnification, pupil_ratio)
        else:
            assert na is not None
            effective = effective_f_number_of_na(na, magnification)
        figures = _figures(effective, magnification, coc_um, wavelength_um, immersion)
    figures |= {"coc_um": coc_um, "wavelength_um": wavelength_um}
    if as_json:
        typer.echo(json.dumps(figures))
    else:
        Console(highlight=False).print(_table(figures))


def _figures(
    effective: float, magnification: float, coc_um: float, wavelength_um: float, immersion: float
) -> Figures:
    depth = depth_of_field(effective, magnification, coc_um, wavelength_um, immersion)
    return {
        "effective_f_number": depth.effective_f_number,
        "na": depth.na,
        "geometric_um": depth.geometric_um,
        "wave_um": depth.wave_um,
        "limiting_um": depth.limiting_um,
        "criterion": depth.criterion,
        "object_pixel_um": object_pixel_um(coc_um / PIXELS_PER_COC, magnification),
    }


def _without_magnification(na: float, wavelength_um: float, immersion: float) -> Figures:
    """Return the wave-optical depth; figures that need the magnification are ``None``."""
    wave_um = wave_dof_um(na, wavelength_um, immersion)
    return {
        "effective_f_number": None,
        "na": na,
        "geometric_um": None,
        "wave_um": wave_um,
        "limiting_um": wave_um,
        "criterion": "wave",
        "object_pixel_um": None,
    }


def _check_given(magnification: float | None, f_number: float | None, na: float | None) -> None:
    if (f_number is None) == (na is None):
        raise ConfigError(
            "give the aperture either as f-number (-N 5.6) or, for an objective, as numerical "
            "aperture (--na 0.28)"
        )
    if f_number is not None and magnification is None:
        raise ConfigError("an f-number needs the magnification too, such as '-m 2 -N 5.6'")


def _check_positive(option: str, number: float | None) -> None:
    # Infinity and NaN fail the comparison.
    if number is not None and not 1e-9 < number < 1e9:
        raise ConfigError(f"{option} must be between 1e-9 and 1e9, got {number:g}")


def _check_immersion(immersion: float, na: float | None) -> None:
    if not 1 <= immersion < 2:
        raise ConfigError(f"--immersion must be from 1 (air) to below 2, got {immersion:g}")
    if na is not None and na >= immersion:
        raise ConfigError(
            f"--na {na:g} is not below the refractive index before the objective "
            f"({immersion:g}); give --immersion 1.33 for water or 1.52 for oil"
        )


def _length(option: str, written: str) -> float:
    try:
        length_um = parse_length(written)
    except ValueError as error:
        raise ConfigError(f"{option} {error}") from error
    if not length_um > 0:
        raise ConfigError(f"{option} must be above 0, got '{written}'")
    return length_um


def _table(figures: Figures) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column()
    table.add_column(justify="right")
    for name, label in _LABELS.items():
        figure = figures[name]
        if isinstance(figure, float):
            table.add_row(label, format_length(figure) if name.endswith("_um") else f"{figure:.4g}")
    limit = "the blur disc" if figures["criterion"] == "geometric" else "diffraction"
    table.add_row("limited by", limit)
    return table
