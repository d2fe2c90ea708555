"""The journal: what is read back is what was written, and damage is named by its line."""

from __future__ import annotations

import resource
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from macrorail.errors import JournalError
from macrorail.run_folder.events import UnknownEvent, kind_of, values_of
from macrorail.run_folder.journal import Journal, create_run_folder, read_journal, write_whole
from macrorail.run_folder.manifest import build_manifest
from tests.made_events import made

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def journal_with(folder: Path, events: int = 3) -> Path:
    ticks = count()
    journal = Journal(folder / "journal.jsonl", lambda: float(next(ticks)))
    for number in range(events):
        journal.append(made("counted", slice=number, name=f"µ{number}"))
    journal.close()
    return journal.path


@given(fields=st.dictionaries(st.sampled_from(["slice", "why", "äöü", "crc"]), VALUES))
@settings(max_examples=50)
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, fields: dict) -> None:
    folder = tmp_path_factory.mktemp("run")
    journal = Journal(folder / "journal.jsonl", lambda: 5.0)
    if "crc" in fields:
        fields["crc_"] = fields.pop("crc")
    events = [UnknownEvent(name="event", values=fields), UnknownEvent(name="other", values={})]
    written = [journal.append(event) for event in events]
    assert read_journal(journal.path) == written
    journal.close()


def test_a_torn_last_line_is_left_out_wherever_it_was_torn(tmp_path: Path) -> None:
    path = journal_with(tmp_path)
    whole = path.read_bytes()
    start_of_last = whole[:-1].rindex(b"\n") + 1
    for length in range(start_of_last, len(whole)):
        path.write_bytes(whole[:length])
        assert len(read_journal(path)) == 2
    path.write_bytes(whole)
    assert len(read_journal(path)) == 3


@pytest.mark.slow
def test_no_flipped_bit_goes_unnoticed(tmp_path: Path) -> None:
    path = journal_with(tmp_path)
    entries = read_journal(path)
    whole = path.read_bytes()
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(bytes(damaged))
        try:
            read = read_journal(path)
        except JournalError as error:
            assert str(path) in str(error)
        else:
            # A flip that made or ate the last newline makes the last line a torn one.
            assert read == entries[: len(read)]
            assert len(read) >= 2


def test_a_lost_line_is_named(tmp_path: Path) -> None:
    path = journal_with(tmp_path)
    first, _, third = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + third)
    with pytest.raises(JournalError, match=r"journal.jsonl:2: found entry 3 here"):
        read_journal(path)


def test_a_journal_is_never_begun_twice(tmp_path: Path) -> None:
    journal_with(tmp_path)
    with pytest.raises(JournalError, match="File exists"):
        Journal(tmp_path / "journal.jsonl", lambda: 0.0)


def test_listeners_hear_only_what_is_on_disk(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl", lambda: 0.0)
    heard = []
    journal.listen(lambda entry: heard.append((entry, read_journal(journal.path)[-1])))
    journal.append(made("intent", slice=1))
    journal.close()
    [(told, on_disk)] = heard
    assert told == on_disk


def test_a_full_disk_is_told_with_the_entry(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full to write to")
    journal = Journal(tmp_path / "journal.jsonl", lambda: 0.0)
    journal.close()
    with Path("/dev/full").open("wb", buffering=0) as full:
        journal.__dict__["_file"] = full
        with pytest.raises(JournalError, match=r"cannot write entry 1 \(intent\): No space left"):
            journal.append(made("intent"))
    assert read_journal(journal.path) == []


def test_a_line_that_the_disk_refused_leaves_no_trace(tmp_path: Path) -> None:
    """The disk is full in the middle of a line, and later has room again."""
    journal = Journal(tmp_path / "journal.jsonl", lambda: 0.0)
    journal.append(made("counted", slice=1))
    size = journal.path.stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    for room in (0, 1, 40):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + room, before[1]))
        try:
            with pytest.raises(JournalError, match=r"cannot write entry 2 \(intent\)"):
                journal.append(made("intent", slice=2))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert journal.path.stat().st_size == size
    journal.append(made("intent", slice=3))
    journal.close()
    assert [values_of(entry.event)["slice"] for entry in read_journal(journal.path)] == [1, 3]


def test_a_second_controller_is_refused(tmp_path: Path) -> None:
    first = Journal(tmp_path / "journal.jsonl", lambda: 0.0)
    first.append(made("started"))
    with pytest.raises(JournalError, match="another macrorail is using this run folder"):
        Journal(first.path, lambda: 0.0, resume=True)
    first.append(made("intent"))
    first.close()
    Journal(first.path, lambda: 0.0, resume=True).close()
    assert len(read_journal(first.path)) == 2


def test_a_journal_that_is_reopened_goes_on_and_stays_locked(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl", lambda: 0.0)
    journal.append(made("started"))
    journal.path.write_bytes(journal.path.read_bytes() + b'{"half a li')
    journal.reopen()
    journal.append(made("intent"))
    assert [kind_of(entry.event) for entry in read_journal(journal.path)] == ["started", "intent"]
    with pytest.raises(JournalError, match="another macrorail"):
        Journal(journal.path, lambda: 0.0, resume=True)
    journal.close()
    with pytest.raises(JournalError, match="is closed"):
        journal.append(made("exposed"))
    other = Journal(journal.path, lambda: 0.0, resume=True)
    with pytest.raises(JournalError, match="another macrorail"):
        journal.reopen()
    other.close()


@pytest.mark.slow
def test_a_journal_torn_at_any_byte_of_its_last_line_goes_on(tmp_path: Path) -> None:
    path = journal_with(tmp_path)
    whole = path.read_bytes()
    start_of_last = whole[:-1].rindex(b"\n") + 1
    for length in range(start_of_last, len(whole) + 1):
        path.write_bytes(whole[:length])
        journal = Journal(path, lambda: 7.0, resume=True)
        journal.append(made("resumed"))
        journal.close()
        entries = read_journal(path)
        assert [kind_of(entry.event) for entry in entries[:2]] == ["counted", "counted"]
        assert len(entries) == (4 if length == len(whole) else 3)
        assert kind_of(entries[-1].event) == "resumed"
        assert entries[-1].world_s == entries[-2].world_s


def test_two_runs_in_one_second_get_two_folders(tmp_path: Path) -> None:
    folders = {create_run_folder(tmp_path, "beetle") for _ in range(3)}
    assert len(folders) == 3
    assert all((folder / "frames").is_dir() for folder in folders)


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "plan.json"
    write_whole(target, "old")
    with pytest.raises(UnicodeEncodeError):
        write_whole(target, "new \udc80")
    assert target.read_text() == "old"


def test_the_manifest_is_a_fold_of_the_journal(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl", lambda: 0.0)
    journal.append(made("started", run="r1", specimen="beetle"))
    for number, at_um in ((1, 10.0), (3, 20.0), (2, 30.0)):
        journal.append(made("counted", slice=number, target_um=at_um, achieved_um=at_um))
    journal.append(made("aligned", number=3, transform=[[1, 0, 0], [0, 1, 0]], sharpness=2.5))
    journal.append(made("ended", state="done", reason="completed", message=""))
    journal.close()
    manifest = build_manifest(read_journal(journal.path))
    assert [s["index"] for s in manifest["slices"]] == [1, 2, 3]
    assert manifest["fusion_order"] == [1, 3, 2]
    assert manifest["slices"][2]["sharpness"] == 2.5
    assert (manifest["state"], manifest["finish_reason"]) == ("done", "completed")


def test_an_interrupted_run_says_so(tmp_path: Path) -> None:
    path = journal_with(tmp_path, events=0)
    assert build_manifest(read_journal(path))["state"] == "interrupted"
