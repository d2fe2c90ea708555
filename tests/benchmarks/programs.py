"""The programs that are compared, installed where that can be done, and run as a user would."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import venv
from dataclasses import dataclass
from pathlib import Path

FOCUSWEAVE = "focusweave==2.0.0"


@dataclass(frozen=True)
class Timing:
    """What a program took: seconds of wall and of all cores, peak memory in MB."""

    wall_s: float
    cpu_s: float
    peak_mb: float


# A process of little memory starts the program: Linux counts what a child inherits at its fork.
_STARTER = """
import json, os, subprocess, sys, time
began = time.monotonic()
process = subprocess.Popen(sys.argv[2:], stdout=open(sys.argv[1], "wb"))
_, status, usage = os.wait4(process.pid, 0)
print(json.dumps([os.waitstatus_to_exitcode(status), time.monotonic() - began,
                  usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6]))
"""


def run_timed(command: list[str]) -> tuple[Timing, str]:
    """Run to the end; returns what it took and its standard output."""
    with tempfile.NamedTemporaryFile() as said:
        starter = [sys.executable, "-c", _STARTER, said.name, *command]
        done = subprocess.run(starter, capture_output=True, text=True, check=True)
        code, wall_s, cpu_s, peak_mb = json.loads(done.stdout)
        if code:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
        return Timing(wall_s, cpu_s, peak_mb), Path(said.name).read_text()


def programs(work: Path) -> dict[str, str]:
    """Commands of the programs to compare, as templates; installs what can be installed."""
    ours = f"{sys.executable} -m macrorail.cli stack {{frames}} -o {{out}}.tif --json"
    ours += " --reference {n1}"
    found = {"macrorail best": f"{ours} --quality best", "macrorail fast": f"{ours} --quality fast"}
    environment = work / "focusweave"
    if not (environment / "bin" / "focusweave").exists():
        venv.create(environment, with_pip=True)
        pip = str(environment / "bin" / "pip")
        subprocess.run([pip, "install", "--quiet", FOCUSWEAVE], check=True)
    found["FocusWeave 2.0.0"] = (
        f"{environment}/bin/focusweave {{folder}} --output {{out}}.tif --reference {{n0}} "
        "--keep-size --min-shift 0"
    )
    if shutil.which("focus-stack"):
        told = subprocess.run(["focus-stack", "--version"], capture_output=True, text=True)
        found[told.stderr.split(",")[0]] = (
            "focus-stack --threads=3 --align-keep-size --reference={n0} --output={out}.tif {frames}"
        )
    return found
