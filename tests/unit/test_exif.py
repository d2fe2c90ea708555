"""The EXIF reader: what sound blocks say, and that no broken one stops or fails anything."""

from __future__ import annotations

import io
import random
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from macrorail.exif import parse_exif, read_exif, settings_in
from macrorail.stacking.metadata import result_metadata
from macrorail.stacking.writing import write_picture
from tests.made_raw import write_raw
from tests.studies.strangers_files import wide_profile

_EXIF_IFD = 0x8769


def block() -> bytes:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0112] = "Maker", "Model 7", 6
    details = exif.get_ifd(_EXIF_IFD)
    details[0x829A], details[0x829D] = IFDRational(1, 60), IFDRational(56, 10)
    details[0x8827], details[0x9003], details[0x9291] = 200, "2026:05:06 07:08:09", "25"
    details[0xA434], details[0x927C] = "105 mm", b"maker note" * 9
    exif.get_ifd(0x8825)[1] = "N"
    return exif.tobytes()


def photograph(path: Path, exif: bytes) -> Path:
    Image.new("RGB", (24, 18), "gray").save(path, exif=exif)
    return path


def heif(path: Path, exif: bytes, icc: bytes) -> Path:
    pillow_heif = pytest.importorskip("pillow_heif")
    made = pillow_heif.from_pillow(Image.new("RGB", (24, 18), "gray"))
    made.save(path, exif=exif, icc_profile=icc, format="HEIF")
    return path


def test_heif_has_its_exif_and_its_profile_read(tmp_path: Path) -> None:
    path = heif(tmp_path / "a.heic", block(), wide_profile())
    # In a process that has not opened one before.
    done = subprocess.run(
        [sys.executable, "-c", SAY, str(path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["Model", "7", str(len(wide_profile()))]
    assert result_metadata(path, 2).icc == wide_profile()


SAY = """
import sys
from pathlib import Path
from macrorail.exif import read_exif
exif = read_exif(Path(sys.argv[1]))
print(exif.text(0x0110), len(exif.icc or b""))
"""


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_every_type_of_file_says_the_same(tmp_path: Path, suffix: str) -> None:
    exif = read_exif(photograph(tmp_path / f"a{suffix}", block()))
    assert (exif.text(0x0110), exif.text(0xA434), exif.orientation) == ("Model 7", "105 mm", 6)
    assert exif.number(0x829D) == 5.6
    assert exif.taken() == (pytest.approx(1778051289.25), True)
    assert exif.problems == ()
    assert settings_in(tmp_path / f"a{suffix}") == {
        "shutter": pytest.approx(1 / 60),
        "aperture": 5.6,
        "iso": 200,
    }


def test_a_raw_file_and_a_fuji_preview_are_read(tmp_path: Path) -> None:
    write_raw(tmp_path / "a.dng", np.zeros((32, 32, 3), np.uint8), taken="2026:05:06 07:08:09")
    exif = read_exif(tmp_path / "a.dng")
    assert exif.taken() is None
    assert exif.taken(or_changed=True) == (1778051289.0, False)
    inner = photograph(tmp_path / "in.jpg", block()).read_bytes()
    head = b"FUJIFILMCCD-RAW 0201".ljust(84, b"\0") + struct.pack(">II", 92, len(inner))
    (tmp_path / "a.raf").write_bytes(head + inner)
    assert read_exif(tmp_path / "a.raf").text(0x0110) == "Model 7"


def test_no_broken_block_stops_the_reader_or_costs_a_picture(tmp_path: Path) -> None:
    whole, rng = block(), random.Random(7)
    pixels = np.zeros((18, 24, 3), np.uint8)
    frame, out = tmp_path / "a.jpg", tmp_path / "out.jpg"
    started_s = time.monotonic()
    for case in range(400):
        data = bytearray(whole)
        for _ in range(rng.randrange(1, 12)):
            data[rng.randrange(len(data))] = rng.choice([0, 1, 8, 255, rng.randrange(256)])
        if case % 3 == 0:
            del data[rng.randrange(8, len(data)) :]
        parse_exif(bytes(data))
        if case % 8 == 0:
            photograph(frame, whole)
            jpeg = frame.read_bytes()
            at = jpeg.index(b"Exif\0\0")
            body = bytes(data).removeprefix(b"Exif\0\0")[: len(whole) - 6].ljust(len(whole) - 6)
            frame.write_bytes(jpeg[: at + 6] + body + jpeg[at + len(whole) :])
            metadata = result_metadata(frame, 3)
            for path in (out, out.with_suffix(".tif"), out.with_suffix(".png")):
                write_picture(path, pixels, None, metadata)
                with Image.open(path) as picture:
                    picture.load()
    assert time.monotonic() - started_s < 30


@pytest.mark.parametrize(
    ("where", "value", "problem"),
    [
        (4, 0, "first directory has an invalid position: byte 0"),
        (4, 0x7FFFFFFF, "first directory has an invalid position: byte"),
        (4, 8, None),
    ],
)
def test_a_pointer_that_leads_nowhere_is_said(where: int, value: int, problem: str | None) -> None:
    data = bytearray(block().removeprefix(b"Exif\0\0"))
    order = "<" if data[:2] == b"II" else ">"
    data[where : where + 4] = struct.pack(order + "I", value)
    problems = parse_exif(bytes(data)).problems
    assert (problem is None) == (problems == ())
    assert problem is None or problem in problems[0]


def test_directories_that_point_at_themselves_are_read_once() -> None:
    data = bytearray(block().removeprefix(b"Exif\0\0"))
    order = "<" if data[:2] == b"II" else ">"
    (at,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, at)
    struct.pack_into(order + "I", data, at + 2 + 12 * count, at)  # the next directory is this one
    assert parse_exif(bytes(data)).text(0x0110) == "Model 7"


def test_impossible_times_are_none() -> None:
    for text in ("0000:00:00 00:00:00", "    :  :     :  :  ", "2026:13:40 07:08:09", "soon"):
        exif = Image.Exif()
        exif.get_ifd(_EXIF_IFD)[0x9003] = text
        assert parse_exif(exif.tobytes()).taken() is None


def test_long_values_and_large_files_are_read_only_where_they_are_needed(tmp_path: Path) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (24, 18)).save(picture, "JPEG", exif=block(), xmp=b"<x:xmpmeta/>")
    path = tmp_path / "a.jpg"
    path.write_bytes(picture.getvalue() + bytes(1 << 22))
    exif = read_exif(path)
    assert exif.xmp == b"<x:xmpmeta/>"
    assert exif.text(0x010F) == "Maker"
