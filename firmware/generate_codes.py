"""Writes the codes of the serial protocol for both sides, C and Python, from codes.csv.

Run it with ``make -C firmware codes`` after a change of codes.csv; a test fails if it was not run.
"""

from __future__ import annotations

import csv
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCE = HERE / "codes.csv"
C_HEADER = HERE / "macrorail" / "codes.h"
PYTHON_MODULE = HERE.parent / "controller" / "macrorail" / "devices" / "rail" / "codes.py"

KINDS = ("verb", "error", "stop", "state", "cause", "kept")


def read_codes() -> dict[str, list[dict[str, str]]]:
    """Return the rows of codes.csv by kind, in file order; a code's number is its index."""
    codes: dict[str, list[dict[str, str]]] = {kind: [] for kind in KINDS}
    with SOURCE.open(newline="", encoding="ascii") as file:
        for row in csv.DictReader(file):
            codes[row["kind"]].append(row)
    return codes


def c_header() -> str:
    """Return the text of codes.h."""
    lines = [
        "/* The codes of the serial protocol, generated from codes.csv: edit them there. */",
        "#ifndef MACRORAIL_CODES_H",
        "#define MACRORAIL_CODES_H",
    ]
    for kind, rows in read_codes().items():
        prefix = kind.upper()
        lines += ["", f"enum {kind}_code {{"]
        lines += [f"    {prefix}_{row['name'].upper()}, /* {row['meaning']} */" for row in rows]
        lines += [f"    {prefix}_COUNT", "};", "", f"#define {prefix}_NAMES \\"]
        names = [f'    "{row["name"]}\\0"' for row in rows]
        lines += [" \\\n".join(names)]
        if kind == "verb":
            counts = ", ".join(row["arguments"] for row in rows)
            lines += ["", f"#define VERB_ARGUMENTS {{{counts}}}"]
    lines += ["", "#endif", ""]
    return "\n".join(lines)


def python_module() -> str:
    """The text of controller/macrorail/devices/rail/codes.py."""
    lines = [
        '"""The codes of the rail\'s serial protocol: generated, edit firmware/codes.csv."""',
        "",
        "from __future__ import annotations",
        "",
        "# How many arguments each verb takes.",
        "VERBS: dict[str, int] = {",
    ]
    codes = read_codes()
    lines += [f'    "{row["name"]}": {row["arguments"]},' for row in codes["verb"]]
    lines += ["}"]
    for kind in KINDS[1:]:
        plural = kind.upper() + ("" if kind == "kept" else "S")
        lines += ["", f"{plural}: dict[str, str] = {{"]
        lines += [f'    "{row["name"]}": "{row["meaning"]}",' for row in codes[kind]]
        lines += ["}"]
    lines += [""]
    return "\n".join(lines)


if __name__ == "__main__":
    C_HEADER.write_text(c_header(), encoding="ascii")
    PYTHON_MODULE.write_text(python_module(), encoding="ascii")
