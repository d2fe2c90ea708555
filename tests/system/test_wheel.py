"""The wheel as its user has it: installed in an environment of its own, far from any checkout.

Every command runs in a folder whose files are named as modules are and end whoever imports them.
Built through the source distribution. Libraries are those of the environment that the tests run
in, so that nothing is downloaded. Run by root, the commands are an ordinary user's.
"""

from __future__ import annotations

import ast
import csv
import json
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

import pytest

pytest.importorskip("hatchling", reason="needs the test extra: pip install -e '.[test]'")

ROOT = Path(__file__).parents[2]
LIBRARIES = sysconfig.get_path("purelib")
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
#: A Python file of such a name in the folder at work must not be imported in the module's place.
HOSTILE = {
    *sys.stdlib_module_names,
    *("macrorail", "macrorail_sims", "controller", "sims", "cv2", "distributed", "fastapi"),
    *("gphoto2", "jinja2", "numba", "numpy", "PIL", "pydantic", "rich", "serial", "simplejpeg"),
    *("tifffile", "tifftools", "transitions", "typer", "uvicorn", "yaml"),
}
#: An ordinary user on every system: "nobody".
NOBODY = 65534


@dataclass(frozen=True)
class Installed:
    """macrorail in an environment of its own, and a home to work in, full of hostile files.

    Attributes
    ----------
    scripts
        Folder of the environment's commands.
    home
        An ordinary user's.
    user
        Who runs the commands; ``None``: whoever runs the tests.
    """

    scripts: Path
    home: Path
    user: int | None

    def run(
        self, *arguments: str | Path, command: str = "macrorail", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        with self.start(*arguments, command=command, **environment) as process:
            try:
                out, said = process.communicate(timeout=800)
            finally:
                process.kill()
        return subprocess.CompletedProcess(process.args, process.returncode, out, said)

    def start(
        self, *arguments: str | Path, command: str = "macrorail", **environment: str
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.scripts / command, *arguments],
            cwd=self.home,
            env={"HOME": str(self.home), "PATH": SYSTEM_PATH, **environment},
            user=self.user,
            group=self.user,
            extra_groups=None if self.user is None else [],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the source distribution, which is built from the checkout."""
    folder = tmp_path_factory.mktemp("dist")
    _build(ROOT, "sdist", folder)
    (source,) = folder.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        archive.extractall(folder, filter="data")
    _build(source.with_name(source.name.removesuffix(".tar.gz")), "wheel", folder)
    (made,) = folder.glob("*.whl")
    return made


def _build(project: Path, target: str, folder: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Iterator[Installed]:
    # Not in pytest's folders, which others may not enter.
    folder = Path(tempfile.mkdtemp(prefix="macrorail-wheel-", dir="/tmp"))
    folder.chmod(0o755)
    python, user = _interpreter()
    environment, home = folder / "environment", folder / "home"
    subprocess.run([python, "-m", "venv", "--without-pip", environment], check=True, timeout=60)
    (site,) = environment.glob("lib/python*/site-packages")
    (site / "libraries.pth").write_text(f"{LIBRARIES}\n")
    scripts = environment / "bin"
    pip = [sys.executable, "-m", "pip", "--python", str(scripts / "python"), "install", "--quiet"]
    options = ["--no-deps", "--no-index", "--disable-pip-version-check"]
    subprocess.run([*pip, *options, str(wheel)], check=True, timeout=120)
    home.mkdir()
    for name in HOSTILE:
        (home / f"{name}.py").write_text("raise SystemExit('hijacked')\n")
    if user is not None:
        os.chown(home, user, user)
    yield Installed(scripts, home, user)
    shutil.rmtree(folder)


def _interpreter() -> tuple[str, int | None]:
    """A Python that an ordinary user can start, and that user; ours and ``None`` without one."""
    own = str(Path(sys.executable).resolve())
    if os.geteuid() != 0:
        return own, None
    version = "python{}.{}".format(*sys.version_info)
    load = f"import sys; sys.path.append({LIBRARIES!r}); import venv, numpy, cv2, gphoto2"
    for python in (own, shutil.which(version, path=SYSTEM_PATH)):
        if python is None:
            continue
        try:
            subprocess.run(
                [python, "-I", "-c", load],
                user=NOBODY,
                group=NOBODY,
                extra_groups=[],
                cwd="/",
                capture_output=True,
                timeout=60,
                check=True,
            )
        except (OSError, subprocess.SubprocessError):
            continue
        return python, NOBODY
    return own, None


def test_it_is_run_by_an_ordinary_user(installed: Installed) -> None:
    if os.geteuid() == 0 and installed.user is None:
        pytest.skip("run by root: an ordinary user can start no Python with these libraries")
    listing = "import os, macrorail; print(os.geteuid(), macrorail.__file__)"
    done = installed.run("-P", "-c", listing, command="python")
    user, _, file = done.stdout.strip().partition(" ")
    assert int(user) != 0
    assert Path(file).is_relative_to(installed.scripts.parent)


def test_the_wheel_has_every_file_of_the_packages(wheel: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "controller", "sims", "configs", "firmware/macrorail"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if listed.returncode != 0:
        pytest.skip("this is no git checkout: which files belong to the packages is not known")
    moved = {"controller/": "", "sims/": "", "configs/": "macrorail/shipped/configs/"}
    moved["firmware/"] = "macrorail/shipped/firmware/"
    wanted = {
        there + path.removeprefix(here)
        for path in listed.stdout.splitlines()
        for here, there in moved.items()
        if path.startswith(here)
    }
    wanted |= {f"macrorail/shipped/firmware/{name}" for name in ("Makefile", "main.cpp")}
    with zipfile.ZipFile(wheel) as archive:
        assert not wanted - set(archive.namelist())


@pytest.mark.timeout(900)
def test_the_demo_and_what_is_made_of_it(installed: Installed) -> None:
    if shutil.which("cc", path=SYSTEM_PATH) is None:
        pytest.skip("there is no C compiler: apt install gcc libc6-dev make")
    done = installed.run("demo", "--json")
    assert done.returncode == 0, done.stderr
    manifest = json.loads(done.stdout)
    assert manifest["state"] == "done" and manifest["coverage"]["proven"]
    (run,) = (installed.home / "runs").iterdir()
    assert (run / "fused.tif").stat().st_size > 100_000
    assert (run / "report.html").is_file()
    owner = None if installed.user is None else NOBODY
    assert owner is None or run.stat().st_uid == owner

    frames = sorted((run / "frames").iterdir())[:3]
    done = installed.run("stack", *frames, "-o", "stacked.tif", "--json")
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["frames"]) == 3
    # A service's user may have no home: nothing is kept, everything works.
    done = installed.run("stack", *frames, "-o", "again.tif", HOME="/nonexistent")
    assert done.returncode == 0, done.stderr
    done = installed.run("batch", "runs", "-o", "fused", "--jobs", "2")
    assert done.returncode == 0, done.stderr
    again, stacked = ((installed.home / name).read_bytes() for name in ("again.tif", "stacked.tif"))
    assert again == stacked


def test_plan_and_dof(installed: Installed) -> None:
    where = "from macrorail.shipped import CONFIGS; print(CONFIGS)"
    configs = Path(installed.run("-P", "-c", where, command="python").stdout.strip())
    done = installed.run("plan", configs / "protocols" / "demo-rail.yaml", "--json")
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["slices"]) > 10
    done = installed.run("dof", "-m", "2", "-N", "5.6", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["limiting_um"] > 0


def test_the_page_is_served(installed: Installed) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = installed.start("serve", "--port", str(port))
    try:
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as answer:
                    assert b"<title>macrorail</title>" in answer.read()
                    break
            except (ConnectionError, URLError):
                assert process.poll() is None, process.communicate()
                time.sleep(0.1)
    finally:
        process.kill()
        process.communicate()


def test_the_demo_says_what_it_lacks_before_it_begins(installed: Installed) -> None:
    runs = installed.home / "not-begun"
    cache = {"XDG_CACHE_HOME": str(installed.home / "empty-cache")}
    done = installed.run("demo", "--out", runs, PATH=str(installed.scripts), **cache)
    assert done.returncode == 2
    assert "apt install gcc libc6-dev make" in done.stderr
    done = installed.run("demo", "--out", runs, XDG_CACHE_HOME="/proc")
    assert done.returncode == 2
    assert "set XDG_CACHE_HOME" in done.stderr and "Traceback" not in done.stderr
    assert not runs.exists()


def test_no_process_of_ours_looks_for_modules_in_the_folder_at_work() -> None:
    for path in (*ROOT.glob("controller/**/*.py"), *ROOT.glob("sims/**/*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.List):
                words = [ast.unparse(word) for word in node.elts]
                assert words[:1] != ["sys.executable"] or words[1] == "'-P'", (path, node.lineno)


def test_the_metadata_names_what_each_system_needs(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (one for one in archive.namelist() if one.endswith(".dist-info/METADATA"))
        metadata = archive.read(name).decode()
        (record,) = (one for one in archive.namelist() if one.endswith("/RECORD"))
        files = [row[0] for row in csv.reader(archive.read(record).decode().splitlines())]
    assert "Requires-Dist: gphoto2>=2.6; sys_platform != 'win32'" in metadata
    tops = {file.partition("/")[0] for file in files}
    assert {top for top in tops if ".dist-info" not in top} == {"macrorail", "macrorail_sims"}
