"""One vocabulary: every line of a journal is a typed event, and encodes to the same bytes again.

The journals in ``tests/data/journals`` were written before events had types; ``rare-kinds.jsonl``
has those that seldom happen, and one of a later version.
"""

from __future__ import annotations

import ast
import json
from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import pytest

import macrorail
from macrorail.errors import JournalError
from macrorail.run_folder import events
from macrorail.run_folder.events import UnknownEvent, event_of, kind_of, known_kinds, values_of
from macrorail.run_folder.events.codec import KEYS
from macrorail.run_folder.journal import Journal, encode, read_journal
from tests.made_events import made

JOURNALS = sorted((Path(__file__).parents[1] / "data/journals").glob("*.jsonl"))
SOURCES = sorted(Path(macrorail.__file__).parent.rglob("*.py"))
#: Functions that write to a journal, by all the names that they have in the source.
WRITERS = {"append", "log_event", "_log_event", "note", "_note"}


@pytest.mark.parametrize("path", JOURNALS, ids=lambda path: path.stem)
def test_a_journal_from_before_is_read_and_encodes_to_the_same_bytes(path: Path) -> None:
    entries = read_journal(path)
    assert b"".join(encode(entry) for entry in entries) == path.read_bytes()
    unknown = {entry.event.name for entry in entries if isinstance(entry.event, UnknownEvent)}
    assert unknown <= {"rehearsed"}


def test_these_journals_have_every_kind_there_is() -> None:
    kinds = {kind_of(entry.event) for path in JOURNALS for entry in read_journal(path)}
    assert known_kinds() - kinds == set(), "add a journal that has it"


def test_a_kind_of_a_later_version_keeps_its_values(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes((JOURNALS[0].parent / "rare-kinds.jsonl").read_bytes())
    later = read_journal(path)[-1].event
    assert later == UnknownEvent(name="rehearsed", values={"slice": 1, "by": "a later version"})
    journal = Journal(path, lambda: 0.0, resume=True)
    journal.append(later)
    journal.close()
    assert read_journal(path)[-1].event == later


def test_a_key_of_a_later_version_is_kept() -> None:
    values = {"slice": 2, "attempt": 1, "lamp": "ring"}
    event = event_of("rejected", values)
    assert isinstance(event, events.FrameRejected) and event.extra == {"lamp": "ring"}
    assert values_of(event) == values


def test_a_line_of_an_earlier_version_stays_as_it_was() -> None:
    values = values_of(made("aligned", number=1))
    for key in ("scale", "closing_px", "trust", "doubt"):
        values.pop(key, None)
    event = event_of("aligned", values)
    assert isinstance(event, events.FrameAligned) and event.trust is None
    assert values_of(event) == values


def test_a_line_that_lacks_a_key_is_named(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl", lambda: 0.0)
    journal.append(UnknownEvent(name="counted", values={"slice": 1}))
    journal.close()
    with pytest.raises(JournalError, match=r"journal.jsonl:1: a line 'counted' lacks 'attempt'"):
        read_journal(journal.path)


def test_a_slice_is_called_slice_whatever_its_key_on_disk() -> None:
    report = {"number": 3, "error": "too little texture"}
    assert event_of("aligned", report) == events.FrameLeftOut(slice=3, error=report["error"])
    assert json.dumps(values_of(event_of("aligned", report))) == json.dumps(report)


def test_an_event_cannot_be_changed() -> None:
    paused = events.RunPaused(why="the lamp is out")
    with pytest.raises(FrozenInstanceError):
        paused.why = "nothing"  # type: ignore[misc]


def test_the_table_of_keys_names_only_what_there_is() -> None:
    types = [cls for cls in vars(events).values() if isinstance(cls, type)]
    of_kind: dict[str, set[str]] = {}
    for cls in types:
        if issubclass(cls, events.Event) and cls.kind:
            of_kind.setdefault(cls.kind, set()).update(one.name for one in fields(cls))
    assert set(of_kind) == known_kinds(), "every type is exported"
    for kind, keys in KEYS.items():
        assert set(keys) <= of_kind[kind], kind


def test_no_event_is_written_or_read_by_a_string() -> None:
    """A kind as a literal would be written without its type, and read past it."""
    found = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            where = f"{path.name}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Call) and node.args:
                name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                first = node.args[0]
                if not isinstance(first, ast.Constant) or not isinstance(first.value, str):
                    continue
                if name in WRITERS and first.value in known_kinds():
                    found.append(f"{where}: {name}({first.value!r})")
                if name == "event_of":
                    assert first.value in known_kinds(), where
            elif isinstance(node, ast.Compare):
                parts = [node.left, *node.comparators]
                reads_event = any(getattr(part, "attr", "") == "event" for part in parts)
                inner = [one for part in parts for one in ast.walk(part)]
                kinds = [one for one in inner if _is_kind(one)]
                if reads_event and kinds:
                    found.append(f"{where}: compares an event with a string")
    assert found == []


def _is_kind(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value in known_kinds()
