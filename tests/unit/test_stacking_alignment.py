"""An alignment kept: other light on the same slices, and some of a stack's frames."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from macrorail.batch.frames import Source, chosen
from macrorail.errors import ConfigError, StackError
from macrorail.stacking import align
from macrorail.stacking.agreement import Agreement
from macrorail.stacking.alignment import load_alignment, save_alignment
from macrorail.stacking.register import Motion, Registration, register
from macrorail.stacking.slices import Known, load_slices
from macrorail.stacking.stacker import Fused, Stacker
from macrorail.stacking.trend import Trend
from tests.made_stack import MadeStack, make_stack


@pytest.fixture(scope="module")
def made() -> MadeStack:
    return make_stack()


@pytest.fixture(scope="module")
def aligned(made: MadeStack, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Fused]:
    """A stack's alignment on disk, and its picture."""
    stacker = Stacker()
    for k, frame in enumerate(made.frames):
        stacker.add(frame, k, k * 50.0)
    path = tmp_path_factory.mktemp("alignments") / "alignment.json"
    save_alignment(path, stacker.alignment)
    return path, stacker.finish()


def test_kept_and_used_again_it_gives_the_same_pixels(
    made: MadeStack, aligned: tuple[Path, Fused]
) -> None:
    path, fused = aligned
    stacker = Stacker(alignment=load_alignment(path))
    for k, frame in enumerate(made.frames):
        stacker.add(frame, k, k * 50.0)
    again = stacker.finish()
    assert np.array_equal(again.image, fused.image)
    assert np.array_equal(again.depth, fused.depth)


def test_frames_that_cannot_be_aligned_lie_as_their_twins_under_other_light(
    made: MadeStack, aligned: tuple[Path, Fused]
) -> None:
    known = load_alignment(aligned[0]).of_slices(range(1, 7))
    stacker = Stacker(alignment=known)
    for k, frame in enumerate(made.frames, 1):
        report = stacker.add(np.full_like(frame, 40 + k), k)
        true = made.transforms[k - 1]
        assert np.abs(report.transform - true)[:, 2].max() < 0.8


def test_some_of_the_frames_lie_on_the_first_of_them(
    made: MadeStack, aligned: tuple[Path, Fused]
) -> None:
    stacker = Stacker(alignment=load_alignment(aligned[0]))
    reports = [stacker.add(made.frames[k], k) for k in (3, 4, 5)]
    assert np.array_equal(reports[0].transform, np.eye(2, 3))
    onto = cv2.invertAffineTransform(made.transforms[3])
    wanted = onto @ np.vstack([made.transforms[5], [0, 0, 1]])
    assert np.abs(reports[2].transform - wanted)[:, 2].max() < 0.8


def test_an_alignment_that_does_not_fit_is_refused(
    made: MadeStack, aligned: tuple[Path, Fused], tmp_path: Path
) -> None:
    known = load_alignment(aligned[0])
    with pytest.raises(StackError, match="6 frames and there are 4"):
        known.of_slices([10, 11, 12, 13])
    with pytest.raises(StackError, match="no slice 9"):
        Stacker(alignment=known).add(made.frames[0], 9)
    with pytest.raises(StackError, match="360 x 240 px"):
        Stacker(alignment=known).add(made.frames[0][:-2], 0)
    other = tmp_path / "other.json"
    other.write_text('{"frames": 3}')
    with pytest.raises(StackError, match="not an alignment"):
        load_alignment(other)


def test_some_frames_are_chosen_by_slice_or_place() -> None:
    run = [Source(n, Path(f"{n}.jpg"), n * 10.0) for n in range(1, 9)]
    files = [Source(n, Path(f"{n}.jpg")) for n in range(8)]
    assert [one.index for one in chosen(run, "2-4, 7")] == [2, 3, 4, 7]
    assert [one.index for one in chosen(files, "2-4,7")] == [1, 2, 3, 6]
    for wanted, message in (("3-", "numbers and ranges"), ("90-99", "none of the 8 frames")):
        with pytest.raises(ConfigError, match=message):
            chosen(run, wanted)


def test_what_is_known_of_loose_frames_is_read_from_a_table_or_a_plan(tmp_path: Path) -> None:
    table, plan = tmp_path / "slices.csv", tmp_path / "plan.json"
    table.write_text("position_um,scale\n1000,1\n1050.5,0.998\n1100,\n")
    assert load_slices(table) == [Known(1000, 1), Known(1050.5, 0.998), Known(1100, None)]
    plan.write_text('{"slices": [{"target_um": 20.0, "scale": 0.99}, {"target_um": 40}]}')
    assert load_slices(plan) == [Known(20, 0.99), Known(40, None)]
    for text in (
        "\ufeffposition_um,scale\n1000,1\n1050.5,0.998\n",
        "\ufeffposition_um;scale\n1000;1\n1050,5;0,998\n",
        "Position_um\tScale\n1000\t1\n1050,5\t0,998\n\t\n",
    ):
        bare = text.removeprefix("\ufeff")
        separator = max(",;\t", key=bare.count)
        for written, encoding in (
            (text, "utf-8"),
            (bare, "utf-16"),
            (f"sep={separator}\n" + bare.replace("\n", f"{separator}Käfer\n", 1), "cp1252"),
        ):
            table.write_bytes(written.encode(encoding))
            assert load_slices(table) == [Known(1000, 1), Known(1050.5, 0.998)]
    for text, message in (
        ("position,scale\n1,2\n", "no column is called position_um; the columns are position"),
        ("position_um\nnan\n", "slices.csv:2: position nan"),
        ("position_um;scale\n1,5;1.0\n", "decimal points and decimal commas"),
        ("position_um\n", "has no slices"),
    ):
        table.write_text(text)
        with pytest.raises(ConfigError, match=message):
            load_slices(table)


def test_a_scale_that_the_optics_tell_leads_where_pictures_cannot(made: MadeStack) -> None:
    rng = np.random.default_rng(5)
    stacker = Stacker()
    for k, frame in enumerate(made.frames):
        # Large forms only: too little to tell a growth of some per mille by.
        forms = cv2.GaussianBlur(frame.astype(np.float32), (0, 0), 25)
        blurred = np.clip(forms + rng.normal(0, 1, forms.shape), 0, 255).astype(np.uint8)
        true = float(np.linalg.det(made.transforms[k][:, :2])) ** 0.5
        report = stacker.add(blurred, k, scale=true)
        assert np.linalg.det(report.transform[:, :2]) ** 0.5 == pytest.approx(true, abs=1e-3)


@pytest.mark.slow
def test_optics_that_are_wrong_are_found_out() -> None:
    """A nominal focal length, a pupil that nobody has measured: the pictures know better."""
    made, wrong_by = make_stack(9, 720, 480), 0.7
    stacker = Stacker()
    true = np.array([np.linalg.det(one[:, :2]) ** 0.5 for one in made.transforms])
    found = []
    for k, frame in enumerate(made.frames):
        report = stacker.add(frame, k, scale=1 + wrong_by * (true[k] - 1))
        found.append(np.linalg.det(report.transform[:, :2]) ** 0.5)
    growth, wanted = found[8] / found[5], true[8] / true[5]
    assert abs(growth - wanted) < abs(wrong_by - 1) * abs(wanted - 1) / 2


@pytest.mark.parametrize(("told_px", "least", "most"), [(0.1, 0.93, 1.0), (5.0, 0.79, 0.82)])
def test_what_defocus_may_feign_is_not_taken_for_wrong_optics(
    told_px: float, least: float, most: float
) -> None:
    """However many steps seem to grow by a fifth less: where that is a fraction of a pixel, it may
    be the edge of what is sharp that moves."""
    trend = Trend(1500, 1000, Motion.SIMILARITY)
    told = told_px / float(np.hypot(750, 500))
    seen = np.diag([1 + 0.8 * told, 1 + 0.8 * told, 1])
    for _ in range(100):
        prior = trend.predict_scaled(1.0, 1 + told)
        trend.learn_scaled(1 + told, prior, seen, prior.spread / 5)
    expected = trend.predict_scaled(1.0, 1 + told).warp[0, 0] - 1
    assert least < expected / told < most


def test_a_first_look_at_sharper_frames_says_how_the_reference_lies(made: MadeStack) -> None:
    """Seen alone, the first two frames have nothing to tell their growth by."""
    rng = np.random.default_rng(5)

    def blurred(k: int) -> npt.NDArray[np.uint8]:
        forms = cv2.GaussianBlur(made.frames[k].astype(np.float32), (0, 0), 12)
        return np.clip(forms + rng.normal(0, 1, forms.shape), 0, 255).astype(np.uint8)

    frames = [blurred(0), blurred(1), *made.frames[2:]]
    plain, ahead = Stacker(), Stacker()
    for k, frame in enumerate(frames):
        ahead.look_ahead(frame, k, None)
    errors = {}
    for stacker in (plain, ahead):
        reports = [stacker.add(frame, k) for k, frame in enumerate(frames)]
        assert np.array_equal(reports[0].transform, np.eye(2, 3))
        true = np.linalg.det(made.transforms[5][:, :2]) ** 0.5
        errors[stacker] = abs(np.linalg.det(reports[5].transform[:, :2]) ** 0.5 - true)
    assert errors[ahead] < 0.6 * errors[plain]


@pytest.mark.parametrize("off_px", [0, 6])
def test_a_chain_that_is_wrong_is_reported(monkeypatch: pytest.MonkeyPatch, off_px: float) -> None:
    """One step is off, as if a pattern had been taken for its neighbour."""
    made = make_stack(7)
    stacker = Stacker()
    reports = []
    for k, frame in enumerate(made.frames):
        with monkeypatch.context() as patch:
            if k == 4:
                patch.setattr(align, "register", lambda *given: _moved(register(*given), off_px))
                patch.setattr(align, "agreement", lambda *_: Agreement(9, 9, 9, np.empty((0, 4))))
            reports.append(stacker.add(frame, k, name=f"{k}.jpg"))
    checked = {k: one.closing.error_px for k, one in enumerate(reports) if one.closing is not None}
    assert checked == {3: pytest.approx(0, abs=0.5), 6: pytest.approx(off_px, abs=0.5)}
    doubts = [report.doubt for report in reports if report.doubt is not None]
    assert len(doubts) == bool(off_px)
    assert all("6.jpg may be misaligned: direct alignment to 3.jpg" in one for one in doubts)


def _moved(found: Registration, by_px: float) -> Registration:
    warp = found.warp.copy()
    warp[0, 2] += by_px
    return replace(found, warp=warp)
