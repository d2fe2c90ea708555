"""Picture files of all kinds: they give what they show, or are refused by name."""

from __future__ import annotations

from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from macrorail.batch.frames import load_frames
from macrorail.cli import main
from macrorail.errors import StackError
from macrorail.stacking.images import picture_size, read_picture
from tests import made_stack
from tests.made_raw import write_raw
from tests.studies.strangers_files import file_trouble

needs_codecs = pytest.mark.skipif(
    find_spec("imagecodecs") is None, reason="imagecodecs is not installed"
)


@needs_codecs
@pytest.mark.parametrize("block", range(4))
def test_files_at_random_give_what_they_show(block: int, tmp_path: Path) -> None:
    wrong, count = {}, Counter[str]()
    for seed in range(60 * block, 60 * block + 60):
        if what := file_trouble(seed, tmp_path, count):
            wrong[seed] = what
    assert not wrong
    assert count["read"] > 30 and count["refused"]


def picture() -> np.ndarray:
    """(48, 64, 3) uint8, RGB."""
    coarse = np.random.default_rng(5).integers(20, 236, (4, 5, 3), np.uint8)
    return np.asarray(cv2.resize(coarse, (64, 48), interpolation=cv2.INTER_CUBIC))


def test_a_dark_raw_frame_stays_as_dark_as_its_neighbours(tmp_path: Path) -> None:
    # One has a bright place, the other does not: all else is the same.
    dark = np.full((128, 192, 3), 60, np.uint8)
    lit = dark.copy()
    lit[:16, :16] = 250
    for name, frame in (("dark.dng", dark), ("lit.dng", lit)):
        write_raw(tmp_path / name, frame)
    one, two = (read_picture(tmp_path / name)[64:, 96:] for name in ("dark.dng", "lit.dng"))
    assert np.abs(one.astype(int) - two.astype(int)).max() <= 257
    assert abs(float(one.mean()) / 257 - 60) < 2


def test_pages_of_one_tiff_are_frames(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = made_stack.make_stack(3, 96, 64).frames
    path, out = tmp_path / "stack.tif", tmp_path / "out.tif"
    tifffile.imwrite(path, np.stack([f[:, :, ::-1] for f in frames]), photometric="rgb")
    loaded = load_frames([path])
    assert [one.name for one in loaded.frames] == [f"stack.tif, page {k}" for k in (1, 2, 3)]
    for source, frame in zip(loaded.frames, frames, strict=True):
        assert np.array_equal(source.read(), frame)
    with pytest.raises(StackError, match="holds 3 pictures"):
        read_picture(path)
    assert main(["stack", str(path), "-o", str(out)]) == 0
    assert main(["batch", str(tmp_path), "-o", str(tmp_path / "batch")]) == 0
    assert len(list((tmp_path / "batch").glob("*/fused.tif"))) == 1


@pytest.mark.parametrize("axis", ["Z", "C"])
def test_ome_files_that_name_their_neighbours_are_read_one_by_one(
    tmp_path: Path, axis: str
) -> None:
    planes = np.random.default_rng(1).integers(0, 255, (2, 48, 64), np.uint8)
    for k, plane in enumerate(planes):
        xml = (
            '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
            '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" '
            'SizeX="64" SizeY="48" SizeT="1" '
            + ('SizeZ="2" SizeC="1">' if axis == "Z" else 'SizeZ="1" SizeC="2">')
            + '<Channel ID="Channel:0:0" SamplesPerPixel="1"/>'
            + "".join(
                f'<TiffData First{axis}="{z}" IFD="0" PlaneCount="1"><UUID FileName="z{z}.ome.tif">'
                f"urn:uuid:00000000-0000-0000-0000-00000000000{z}</UUID></TiffData>"
                for z in range(2)
            )
            + "</Pixels></Image></OME>"
        )
        tifffile.imwrite(tmp_path / f"z{k}.ome.tif", plane, description=xml, metadata=None)
    if axis == "C":
        with pytest.raises(StackError, match=r"z1\.ome\.tif and .*z0.* are different channels"):
            load_frames([tmp_path])
        return
    loaded = load_frames([tmp_path])
    for source, plane in zip(loaded.frames, planes, strict=True):
        assert np.array_equal(source.read()[:, :, 1], plane)


@pytest.mark.parametrize("first", ["flagged", "smaller"])
def test_the_picture_is_taken_and_not_the_thumbnail_before_it(tmp_path: Path, first: str) -> None:
    path, rgb = tmp_path / "a.tif", picture()
    with tifffile.TiffWriter(path) as out:
        kind = 1 if first == "flagged" else 0
        out.write(rgb[::4, ::4].copy(), photometric="rgb", subfiletype=kind, metadata=None)
        out.write(rgb, photometric="rgb", metadata=None)
    assert np.array_equal(read_picture(path), rgb[:, :, ::-1])
    assert picture_size(path) == (64, 48, 8)


@needs_codecs
@pytest.mark.parametrize("compression", ["lzw", "zstd", "deflate", "packbits"])
def test_compressed_tiffs_are_read(tmp_path: Path, compression: str) -> None:
    rgb = picture()
    tifffile.imwrite(tmp_path / "a.tif", rgb, photometric="rgb", compression=compression)
    assert np.array_equal(read_picture(tmp_path / "a.tif"), rgb[:, :, ::-1])


def test_what_a_suffix_says_wrongly_the_file_says_rightly(tmp_path: Path) -> None:
    Image.fromarray(picture()).save(tmp_path / "a.jpg", "PNG")
    assert np.array_equal(read_picture(tmp_path / "a.jpg"), picture()[:, :, ::-1])


def test_a_jpeg_that_nothing_reads_is_not_called_damaged(tmp_path: Path) -> None:
    Image.fromarray(picture()).save(tmp_path / "a.jpg")
    data = bytearray((tmp_path / "a.jpg").read_bytes())
    at = data.index(b"\xff\xc0")
    data[at + 1], data[at + 4] = 0xC3, 12
    (tmp_path / "a.jpg").write_bytes(data)
    with pytest.raises(StackError, match=r"a\.jpg: is a JPEG of 12 bits, process SOF3"):
        read_picture(tmp_path / "a.jpg")


def test_a_transparent_picture_is_refused_by_name(tmp_path: Path) -> None:
    cut_out = Image.fromarray(picture()).convert("RGBA")
    cut_out.paste((9, 9, 9, 0), (0, 0, 32, 48))
    cut_out.save(tmp_path / "a.png")
    with pytest.raises(StackError, match=r"a\.png: 50\.0% of it is transparent"):
        read_picture(tmp_path / "a.png")


@pytest.mark.parametrize(("kind", "module"), [("a.heic", "pillow_heif"), ("a.jxl", "pillow_jxl")])
def test_types_that_need_an_extra_say_which(
    tmp_path: Path, kind: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("macrorail.stacking.kinds.find_spec", lambda name: None)
    head = {"a.heic": b"\0\0\0\x18ftypheic", "a.jxl": b"\xff\x0a"}[kind]
    (tmp_path / kind).write_bytes(head)
    extra = module.removeprefix("pillow_")
    with pytest.raises(StackError, match=rf"{module}.*'macrorail\[{extra}\]'"):
        read_picture(tmp_path / kind)
