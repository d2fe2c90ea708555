"""``macrorail stack`` as a user types it: results, figures, progress, errors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from tests.made_stack import MadeStack, make_stack
from tests.score import psnr_db

_MODEL = 0x0110
REAL_STACKS = os.environ.get("MACRORAIL_STACKS")


def stack(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "macrorail.cli", "stack", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def stack_json(*arguments: object) -> dict[str, Any]:
    done = stack(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


@pytest.fixture(scope="module")
def made() -> MadeStack:
    return make_stack()


@pytest.fixture(scope="module")
def photos(made: MadeStack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a camera leaves it: numbers without leading zeros, and a stray text file."""
    folder = tmp_path_factory.mktemp("photos")
    for k, pixels in enumerate(made.frames):
        exif = Image.Exif()
        exif[_MODEL] = "Made camera"
        picture = Image.fromarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB))
        picture.save(folder / f"shot{k + 7}.jpg", quality=95, subsampling=0, exif=exif)
    (folder / "notes.txt").write_text("bristles")
    return folder


def test_a_folder_becomes_a_picture_and_its_path_is_the_output(
    made: MadeStack, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.tif"
    done = stack(photos, "-o", out)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(out)
    picture = cv2.imread(str(out), cv2.IMREAD_UNCHANGED)
    assert picture.dtype == np.uint16
    assert picture.shape == made.truth.shape
    with Image.open(out) as opened:
        assert opened.getexif()[_MODEL] == "Made camera"
    best = max(psnr_db(frame, made.truth) for frame in made.frames)
    assert psnr_db(picture, made.truth) > best + 3
    assert [path.name for path in tmp_path.iterdir()] == ["out.tif"]


def test_json_carries_the_figures_scripts_rely_on(photos: Path, tmp_path: Path) -> None:
    figures = stack_json(photos, "-o", tmp_path / "out.png")
    names = [Path(name).name for name in figures["frames"]]
    assert names == [f"shot{k}.jpg" for k in range(7, 13)], "9 comes before 10"
    assert Path(figures["reference"]).name == "shot7.jpg"
    assert figures["seconds"] >= figures["seconds_after_last_frame"] >= 0
    assert figures["peak_rss_mb"] > 10
    assert np.shape(figures["transforms"]) == (6, 2, 3)
    assert np.array_equal(figures["transforms"][0], np.eye(2, 3))
    assert [one is not None for one in figures["closing_px"]].count(True) == 1
    assert figures["doubts"] == []
    x, y, width, height = figures["valid_rect"]
    assert 0 <= x < x + width <= 360
    assert 0 <= y < y + height <= 240


@pytest.mark.parametrize(("reference", "place"), [("middle", 3), ("6", 5), ("first", 0)])
def test_the_reference_is_the_frame_that_is_named(
    photos: Path, tmp_path: Path, reference: str, place: int
) -> None:
    figures = stack_json(photos, "-o", tmp_path / "out.jpg", "--reference", reference)
    assert figures["reference"] == figures["frames"][place]
    assert np.array_equal(figures["transforms"][place], np.eye(2, 3))


def test_files_are_stacked_in_the_order_given(photos: Path, tmp_path: Path) -> None:
    files = [photos / f"shot{k}.jpg" for k in (9, 8, 7)]
    figures = stack_json(*files, "-o", tmp_path / "out.png")
    assert figures["frames"] == [str(path) for path in files]


def test_depth_goes_where_asked(photos: Path, tmp_path: Path) -> None:
    assert stack(photos, "-o", tmp_path / "o.png", "--depth", tmp_path / "d.tif").returncode == 0
    depth = tifffile.imread(tmp_path / "d.tif")
    assert depth.shape == (240, 360)
    assert depth.dtype == np.float32
    left, right = depth[:, 40:100].mean(), depth[:, 260:320].mean()
    assert left + 2 < right, "the specimen rises from left to right, in slices"
    confidence = cv2.imread(str(tmp_path / "d-confidence.png"), cv2.IMREAD_UNCHANGED)
    assert confidence.shape == (240, 360)
    assert confidence.dtype == np.uint8
    assert confidence.mean() > 100, "texture everywhere"


def test_fast_is_another_picture_of_the_same_thing(
    made: MadeStack, photos: Path, tmp_path: Path
) -> None:
    for quality in ("fast", "best"):
        assert (
            stack(photos, "-o", tmp_path / f"{quality}.png", "--quality", quality).returncode == 0
        )
    fast, best = (cv2.imread(str(tmp_path / f"{q}.png"), -1) for q in ("fast", "best"))
    assert not np.array_equal(fast, best)
    # Its colours are noise of their own, pixel by pixel: the worst for colour at half size.
    assert psnr_db(fast, made.truth) > 32.5


def test_crop_valid_keeps_what_all_frames_show(photos: Path, tmp_path: Path) -> None:
    out, depth = tmp_path / "out.png", tmp_path / "depth.tif"
    figures = stack_json(photos, "-o", out, "--depth", depth, "--crop", "valid")
    _, _, width, height = figures["valid_rect"]
    assert cv2.imread(str(out)).shape == (height, width, 3)
    assert tifffile.imread(depth).shape == (height, width)


def test_what_may_differ_between_frames_is_the_users_choice(photos: Path, tmp_path: Path) -> None:
    def transforms(align: str) -> np.ndarray[Any, Any]:
        figures = stack_json(photos, "-o", tmp_path / "out.jpg", "--align", align)
        return np.array(figures["transforms"])

    assert np.array_equal(transforms("none"), np.tile(np.eye(2, 3), (6, 1, 1)))
    shifts = transforms("shift")
    assert np.allclose(shifts[:, :, :2], np.eye(2))
    assert np.ptp(shifts[:, :, 2]) > 0.5


def test_one_frame_comes_back(made: MadeStack, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "one.png"), made.frames[0])
    assert stack(tmp_path / "one.png", "-o", tmp_path / "out.png").returncode == 0
    back = cv2.imread(str(tmp_path / "out.png"), cv2.IMREAD_UNCHANGED)
    assert np.abs(back / 257 - made.frames[0]).max() < 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere", "-o", "out.tif"], 2, "nowhere does not exist"),
        (["{photos}", "-o", "out.tif", "--reference", "7"], 2, "number from 1 to 6"),
        (["{photos}", "-o", "out.tif", "--reference", "last"], 2, "first, middle"),
        (["{photos}"], 2, "--output"),
        (["{photos}", "{photos}/shot7.jpg", "-o", "out.tif"], 2, "one folder, or files"),
        (["{photos}/notes.txt", "-o", "out.tif"], 6, "notes.txt"),
        (["{photos}", "-o", "out.gif"], 6, "out.gif"),
        (["{photos}", "-o", "missing/out.tif"], 6, "missing/out.tif"),
        (["{empty}", "-o", "out.tif"], 2, "contains no pictures"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    photos: Path, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    (tmp_path / "empty").mkdir()
    given = [a.format(photos=photos, empty=tmp_path / "empty") for a in arguments]
    given = [str(tmp_path / a) if a.startswith(("out.", "missing")) else a for a in given]
    done = stack(*given)
    assert done.returncode == code, done.stderr
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_file_that_is_cut_short_is_named(photos: Path, tmp_path: Path) -> None:
    whole = (photos / "shot8.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    done = stack(photos / "shot7.jpg", tmp_path / "cut.jpg", "-o", tmp_path / "out.tif")
    assert done.returncode == 6
    assert "cut.jpg is damaged" in " ".join(done.stderr.split())
    assert not (tmp_path / "out.tif").exists()


def test_frames_of_two_sizes_are_refused_by_name(made: MadeStack, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), made.frames[0])
    cv2.imwrite(str(tmp_path / "b.png"), made.frames[1][:-10])
    done = stack(tmp_path, "-o", tmp_path / "out.tif")
    assert done.returncode == 6
    assert "b.png is 360 x 230 px" in " ".join(done.stderr.split())


def test_a_frame_that_does_not_belong_is_left_out_and_named(photos: Path, tmp_path: Path) -> None:
    stranger = tmp_path / "stranger.jpg"
    cv2.imwrite(str(stranger), make_stack(count=1, seed=99).frames[0])
    files = [photos / "shot7.jpg", photos / "shot8.jpg"]
    without = stack_json(*files, "-o", tmp_path / "without.png")
    done = stack(*files, stranger, "-o", tmp_path / "with.png", "--json")
    assert done.returncode == 0, done.stderr
    assert "left out: stranger.jpg cannot be aligned" in " ".join(done.stderr.split())
    figures = json.loads(done.stdout)
    assert figures["transforms"] == [*without["transforms"], None]
    assert figures["trust"][2] == 0
    assert min(figures["trust"][:2]) > 0.6
    assert [one["frame"] for one in figures["left_out"]] == [str(stranger)]
    assert any("left out: stranger.jpg" in one for one in figures["doubts"])
    pictures = [(tmp_path / f"{name}.png").read_bytes() for name in ("without", "with")]
    assert pictures[0] == pictures[1]


def test_where_nothing_fits_the_reference_the_stack_is_refused(
    photos: Path, tmp_path: Path
) -> None:
    stranger = tmp_path / "stranger.jpg"
    cv2.imwrite(str(stranger), make_stack(count=1, seed=99).frames[0])
    done = stack(stranger, photos / "shot7.jpg", photos / "shot8.jpg", "-o", tmp_path / "out.tif")
    assert done.returncode == 6
    told = " ".join(done.stderr.split())
    assert "none of the other 2 frame(s) can be stacked with stranger.jpg" in told
    assert "--reference" in told
    assert not (tmp_path / "out.tif").exists()


def test_a_terminal_shows_progress_and_standard_output_stays_clean(
    photos: Path, tmp_path: Path
) -> None:
    ours, theirs = os.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "macrorail.cli", "stack", photos, "-o", tmp_path / "out.png"],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "80"},
    ) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                shown += os.read(ours, 4096)
            except OSError:  # Linux ends a terminal whose other end is closed with EIO.
                break
        assert process.stdout is not None
        assert process.stdout.read().decode().strip() == str(tmp_path / "out.png")
    os.close(ours)
    assert process.returncode == 0
    assert b"6/6" in shown


@pytest.mark.skipif(REAL_STACKS is None, reason="MACRORAIL_STACKS names no folder of photographs")
@pytest.mark.parametrize(
    "name", ["cmcg_ring", "newto", "pcb_depthmap", "pcb_small"], ids=lambda name: str(name)
)
def test_real_photographs_fuse_sharper_than_any_of_them(name: str, tmp_path: Path) -> None:
    folder = Path(str(REAL_STACKS)) / name
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    out = tmp_path / "out.png"
    figures = stack_json(folder, "-o", out)
    frames = [cv2.imread(path, cv2.IMREAD_IGNORE_ORIENTATION | 1) for path in figures["frames"]]
    fused = cv2.imread(str(out))
    assert fused.shape == frames[0].shape
    assert _detail(fused) > 1.05 * max(map(_detail, frames))
    _, _, width, height = figures["valid_rect"]
    assert width * height > 0.7 * fused.shape[0] * fused.shape[1]


def _detail(picture: np.ndarray[Any, Any]) -> float:
    """Mean size of what is finer than some pixels, by blocks so that noise counts less."""
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY).astype(np.float32)
    band = cv2.GaussianBlur(grey, (0, 0), 1.5) - cv2.GaussianBlur(grey, (0, 0), 4)
    return float(np.abs(band).mean())
