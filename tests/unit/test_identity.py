"""Specimen ids: which are accepted, which never, and how they come into a run's protocol."""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np
import pytest
import zxingcpp
from hypothesis import given
from hypothesis import strategies as st

from macrorail.config.document import load_document, read_document
from macrorail.config.folder_names import safe_name
from macrorail.config.identity import IdentitySection
from macrorail.config.protocol import Protocol
from macrorail.errors import ConfigError, IdentityError
from macrorail.identity.check_digits import METHODS, with_check
from macrorail.identity.protocol_copy import as_yaml, with_specimen
from macrorail.identity.resolver import AskOperator, IdResolver
from macrorail.identity.specimen_list import read_specimen_list
from tests.studies import labels

LIST = """catalogNumber;position;scientificName;notes
NHMUK010;A1;Chrysolina fastuosa;old drawer
NHMUK011;A2;Cetonia aurata;
BMNH(E) 12;A3;;
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "list.csv").write_text(LIST)
    return tmp_path


def registrar(folder: Path, taken: Iterable[str] = (), **settings: str) -> IdResolver:
    return IdResolver(IdentitySection.model_validate(settings), folder, taken)


def typed(*lines: str) -> tuple[AskOperator, list[str]]:
    """Somebody at a keyboard, and the questions that were asked."""
    coming, questions = iter(lines), []

    def ask(question: str) -> str:
        questions.append(question)
        return next(coming)

    return ask, questions


def test_the_list_gives_each_place_its_specimen_and_terms(folder: Path) -> None:
    one = registrar(folder, **{"from": "list", "list": "list.csv"})
    one.check_places(["A1", "a2", "A3"])
    assert one.identify("A1").specimen == {
        "id": "NHMUK010",
        "id_from": "list",
        "catalog_number": "NHMUK010",
        "scientific_name": "Chrysolina fastuosa",
    }
    third = one.identify("a3")
    assert (third.id, third.terms["catalog_number"]) == ("BMNH-E-12", "BMNH(E) 12")


def test_every_place_that_the_list_lacks_is_named_before_the_first_shot(folder: Path) -> None:
    one = registrar(folder, ["nhmuk011"], **{"from": "list", "list": "list.csv"})
    with pytest.raises(IdentityError) as refused:
        one.check_places(["A1", "A2", "B7"])
    said = str(refused.value)
    assert "NHMUK011 was shot already" in said
    assert "no specimen at position B7" in said
    assert "A1" not in said


def test_a_slip_is_asked_again_and_says_why(folder: Path) -> None:
    ask, questions = typed("NHMUK012\n", "nhmuk011\n")
    one = registrar(folder, **{"from": "prompt", "list": "list.csv"})
    assert one.identify("A2", ask).id == "NHMUK011"
    assert "'NHMUK012' is not in" in questions[1]


def test_what_a_scanner_sends_around_the_text_is_taken_off(folder: Path) -> None:
    ask, _ = typed("]d2\x1dNHMUK010\r\n")
    one = registrar(folder, **{"from": "scanner", "list": "list.csv"})
    assert one.identify("A1", ask).id == "NHMUK010"


def test_without_list_and_check_digit_an_id_counts_when_it_comes_twice(folder: Path) -> None:
    ask, _ = typed("NHM-1\n", "NHM-7\n", "NHM-1\n", "NHM-1\n")
    assert registrar(folder, **{"from": "scanner"}).identify("A1", ask).id == "NHM-1"
    ask, _ = typed(*["NHM-1\n", "NHM-2\n"] * 3)
    with pytest.raises(IdentityError, match="entries differ"):
        registrar(folder, **{"from": "prompt"}).identify("A1", ask)


def test_no_id_is_shot_twice_unless_that_is_wanted(folder: Path) -> None:
    one = registrar(folder, **{"from": "prompt", "list": "list.csv"})
    one.accept("NHMUK010")
    with pytest.raises(IdentityError, match="shot already"):
        one.accept("nhmuk010")
    again = registrar(
        folder, ["NHMUK010"], **{"from": "prompt", "list": "list.csv", "repeats": "allow"}
    )
    assert again.accept("NHMUK010").id == "NHMUK010"


def test_two_labels_of_one_name_are_not_mixed_up(folder: Path) -> None:
    one = registrar(folder, **{"from": "prompt", "repeats": "allow"})
    one.accept("NHM (1)")
    with pytest.raises(IdentityError, match="would both become the id NHM-1"):
        one.accept("NHM/1")


@pytest.mark.parametrize("answer", ["", "\n", "NHMUK999\n"])
def test_a_missing_id_stops_or_is_quarantined_by_choice(folder: Path, answer: str) -> None:
    ask, _ = typed(*[answer] * 3)
    settings = {"from": "prompt", "list": "list.csv"}
    with pytest.raises(IdentityError):
        registrar(folder, **settings).identify("A1", ask)
    ask, _ = typed(*[answer] * 6)
    lenient = registrar(folder, **settings, missing="quarantine")
    first, second = lenient.identify("tray A/1", ask), lenient.identify("tray A/1", ask)
    assert (first.id, second.id) == ("unidentified-tray-A-1", "unidentified-tray-A-1-2")
    assert first.quarantined
    assert first.specimen["id_from"] == "none"


def test_a_pattern_picks_the_id_out_of_a_label(folder: Path) -> None:
    one = registrar(folder, **{"from": "prompt", "pattern": r"https?://.*/(NHMUK\d+)"})
    assert one.accept("http://example.org/object/NHMUK77").id == "NHMUK77"
    with pytest.raises(IdentityError, match="does not fit"):
        one.accept("NHMUK77")


@given(
    st.text(string.digits + string.ascii_uppercase, min_size=1, max_size=14),
    st.data(),
    st.sampled_from(sorted(METHODS)),
)
def test_a_check_digit_finds_every_single_error(text: str, data: st.DataObject, name: str) -> None:
    alphabet = string.digits if name == "luhn" else string.digits + string.ascii_uppercase
    text = "".join(letter for letter in text if letter in alphabet) or "0"
    good = with_check(text, name)
    place = data.draw(st.integers(0, len(good) - 1))
    wrong = data.draw(st.sampled_from(alphabet.replace(good[place], "")))
    assert METHODS[name](good)
    assert not METHODS[name](good[:place] + wrong + good[place + 1 :])


def test_check_digits_agree_with_published_examples() -> None:
    # The examples of ISO/IEC 7064 and ISO/IEC 7812-1.
    assert METHODS["iso7064-mod37-36"]("A12425GABC1234002M")
    assert METHODS["luhn"]("79927398713")


def test_a_wrong_check_digit_is_refused(folder: Path) -> None:
    one = registrar(folder, **{"from": "scanner", "check_digit": "luhn"})
    ask, questions = typed("79927398710", "79927398713")
    assert one.identify("A1", ask).id == "79927398713"
    assert "check digit" in questions[1]


@given(st.text(max_size=80))
def test_a_name_made_safe_is_safe(text: str) -> None:
    try:
        name = safe_name(text)
    except ValueError:
        return
    assert set(name) <= set(string.ascii_letters + string.digits + "._-")
    assert name[0].isalnum() and len(name) <= 64 and name.lower() not in {"con", "nul", "aux"}


@pytest.mark.parametrize(
    ("text", "trouble"),
    [
        ("name\nA", "no column 'id'"),
        ("id\nA\na\n", "duplicate id 'a'"),
        ("id,position\nA,1\nB,1\n", "duplicate place '1' (as A and B)"),
        ("id,position\n,1\n", ":2: has no id"),
        ("id\n?\n", ":2: the id must be"),
        ("id\nA,B\n", "more fields"),
        ("id,barcode,label\nA,B,C\n", "two columns give the label"),
        ("id\n", "lists no specimen"),
    ],
)
def test_a_list_that_cannot_be_trusted_is_refused(tmp_path: Path, text: str, trouble: str) -> None:
    (tmp_path / "bad.csv").write_text(text)
    with pytest.raises(ConfigError, match=r"bad\.csv") as refused:
        read_specimen_list(tmp_path / "bad.csv")
    assert trouble in str(refused.value)


def label(text: str, kind: zxingcpp.BarcodeFormat) -> np.ndarray:
    return np.pad(np.array(zxingcpp.create_barcode(text, kind).to_image(scale=6)), 40)


def showing(folder: Path, picture: np.ndarray) -> Callable[[], Path]:
    path = folder / "label.png"
    cv2.imwrite(str(path), picture)
    return lambda: path


@pytest.mark.parametrize("kind", ["DataMatrix", "QRCode"])
def test_a_label_is_read_from_the_frame(folder: Path, kind: str) -> None:
    code = label("NHMUK010", getattr(zxingcpp.BarcodeFormat, kind))
    one = registrar(folder, **{"from": "frame", "list": "list.csv"})
    identity = one.identify("A1", look=showing(folder, code))
    assert (identity.id, identity.specimen["id_from"]) == ("NHMUK010", "frame")


def test_of_two_labels_in_a_frame_none_is_taken(folder: Path) -> None:
    kind = zxingcpp.BarcodeFormat.QRCode
    both = np.hstack([label("NHMUK010", kind), label("NHMUK011", kind)])
    one = registrar(folder, ["NHMUK011"], **{"from": "frame", "list": "list.csv"})
    with pytest.raises(IdentityError, match="NHMUK010 and NHMUK011"):
        one.identify("A1", look=showing(folder, both))


def test_a_code_that_the_list_does_not_know_is_no_id(folder: Path) -> None:
    code = label("https://example.org", zxingcpp.BarcodeFormat.QRCode)
    one = registrar(folder, **{"from": "frame", "list": "list.csv"})
    with pytest.raises(IdentityError, match="is not in"):
        one.identify("A1", look=showing(folder, code))


@pytest.mark.parametrize("kind", labels.KINDS)
def test_labels_photographed_badly_are_read_and_none_is_taken_for_another(
    tmp_path: Path, kind: str
) -> None:
    counts: Counter[str] = Counter()
    deciders = labels.Deciders(tmp_path, labels.known_ids(50))
    for number in range(6):
        shot = labels.Shot(kind, angle_deg=15.0 * number, blur=0.3, noise=20)
        labels.try_label(shot, number, deciders, counts)
    assert counts["read"] == 6
    assert (counts["right"], counts["wrong"]) == (6, 0)


BODY = "range: {near: 1 mm, far: 2 mm}\nsettle: 0 s\nexposure: {shutter: 1/60 s}\n"


@pytest.mark.parametrize(
    ("head", "trouble"),
    [
        ("", "has no 'id'"),
        ("specimen: {part: elytra}", "has no 'id'"),
        ("specimen: {id: A}\nidentity: {from: prompt}", "remove one of the two"),
        ("identity: {from: frame}", "misread label"),
        ("identity: {from: list}", "'list: FILE.csv', which is missing"),
        ("identity: {from: prompt, pattern: '('}", "is not a regular expression"),
        ("identity: {from: prompt, position: 1 mm}", "only with 'from: frame'"),
    ],
)
def test_a_protocol_says_one_way_to_the_id(tmp_path: Path, head: str, trouble: str) -> None:
    (tmp_path / "p.yaml").write_text(f"{head}\n{BODY}")
    with pytest.raises(ConfigError) as refused:
        load_document(tmp_path / "p.yaml", Protocol)
    assert trouble in str(refused.value)


def test_the_run_folders_copy_names_the_specimen(folder: Path) -> None:
    path = folder / "p.yaml"
    head = "specimen: {part: elytra}\nidentity: {from: prompt, list: list.csv}\n"
    path.write_text(f"{head}{BODY}")
    identity = registrar(folder, **{"from": "prompt", "list": "list.csv"}).accept("NHMUK010")
    data = with_specimen(read_document(path).data, identity.specimen)
    copy = folder / "copy.yaml"
    copy.write_text(as_yaml(data))
    wanted = load_document(copy, Protocol)
    assert wanted.specimen.id == "NHMUK010"
    assert wanted.specimen.part == "elytra"
    assert wanted.specimen.scientific_name == "Chrysolina fastuosa"
    assert wanted.range == load_document(path, Protocol).range
