"""The reference of all YAML keys is complete, and the JSON Schemas check what macrorail checks."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import create_model

from macrorail.campaign.schema import CampaignSection
from macrorail.cli import main
from macrorail.cli.schema import SCHEMAS, FileKind, schema_text
from macrorail.config.document import Section
from macrorail.config.drivers import driver_names, import_driver
from macrorail.config.lens_file import LensFile
from macrorail.config.protocol import Protocol
from macrorail.config.reference import Key, keys_of, sections_of, written
from macrorail.config.rig import DRIVEN, Rig, load_rig
from macrorail.shipped import CONFIGS

SHIPPED = sorted(CONFIGS.rglob("*.yaml"))
FOLDERS = {"protocols": "protocol", "rigs": "rig", "campaigns": "campaign", "lenses": "lens"}


def every_section() -> list[type[Section]]:
    options = [import_driver(kind, name).Options for kind in DRIVEN for name in driver_names(kind)]
    roots = [Protocol, LensFile, CampaignSection, Rig, *options]
    return list(dict.fromkeys(section for root in roots for section in sections_of(root)))


def every_key() -> list[Any]:
    return [
        pytest.param(section, key, id=f"{section.__qualname__}.{key.name}")
        for section in every_section()
        for key in keys_of(section)
    ]


def as_text(value: Any) -> Any:
    """As macrorail's YAML reader hands it on: text at the leaves."""
    if isinstance(value, dict):
        return {key: as_text(each) for key, each in value.items()}
    return [as_text(each) for each in value] if isinstance(value, list) else str(value)


@pytest.mark.parametrize(("section", "key"), every_key())
def test_a_key_has_a_description_a_unit_and_an_example_that_is_valid(
    section: type[Section], key: Key
) -> None:
    assert len(key.description) > 10 and key.description.endswith((".", ")"))
    assert "``" not in key.description and "_um" not in key.description
    assert key.example is not None, "end its docstring entry with 'Example: ``VALUE``'"
    notation = key.shape.notation
    if notation is not None:
        assert key.units or re.search(notation.pattern, notation.example)
    if section is Rig and key.name in DRIVEN:
        return  # its driver's Options judge it: test_the_example_of_a_rig
    name, field = next(
        (name, info)
        for name, info in section.model_fields.items()
        if key.name in (info.alias, name)
    )
    alone: Any = create_model("Alone", __base__=Section, **{name: (field.annotation, field)})  # type: ignore[call-overload]
    alone.model_validate({key.name: as_text(key.example)}, by_alias=True, by_name=False)


def test_the_example_of_a_rig(tmp_path: Path) -> None:
    examples = {key.name: key.example for key in keys_of(Rig)}
    path = tmp_path / "rig.yaml"
    path.write_text("\n".join(f"{name}: {written(each)}" for name, each in examples.items()))
    assert load_rig(path).camera.pixel_pitch_um == 3.9


def test_keys_that_stood_nowhere_have_their_figures() -> None:
    rail = {key.name: key for key in keys_of(import_driver("axis", "rail").Options)}
    assert rail["lead"].default == "2 mm" and rail["lead"].range == "above 0 um"
    assert rail["host_silence"].range == "at least 100 ms, at most 10 min"
    assert rail["steps_per_revolution"].default == "200"
    assert "mm" in rail["home_clearance"].units
    protocol = {key.name: key for key in keys_of(Protocol)}
    assert protocol["minimum_overlap"].default == "10 %"
    assert protocol["max_slices"].default == "1000" and protocol["range"].required


@pytest.mark.parametrize("kind", list(FileKind))
def test_shipped_schemas_are_those_of_the_code(kind: FileKind) -> None:
    shipped = CONFIGS / "schemas" / f"{kind.value}.json"
    assert shipped.read_text(encoding="utf-8") == schema_text(kind), (
        f"write it again: macrorail schema {kind.value} > {shipped}"
    )


def test_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", "rig"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "macrorail rig"


class _Yaml12(yaml.SafeLoader):
    """Scalars as editors read them: only 'true' and 'false' are booleans, '1:30' is text."""


_Yaml12.yaml_implicit_resolvers = {}
for tag, pattern in (
    ("tag:yaml.org,2002:bool", r"true|false"),
    ("tag:yaml.org,2002:int", r"[-+]?\d+"),
    ("tag:yaml.org,2002:float", r"[-+]?(\d+\.\d*|\.\d+)"),
):
    _Yaml12.add_implicit_resolver(tag, re.compile(rf"^(?:{pattern})$"), None)


def problems(kind: str, text: str) -> list[str]:
    """What an editor would underline."""
    jsonschema = pytest.importorskip("jsonschema", reason="needs jsonschema: make test-set-up")
    schema = SCHEMAS[FileKind(kind)]()
    jsonschema.Draft7Validator.check_schema(schema)
    found = jsonschema.Draft7Validator(schema).iter_errors(yaml.load(text, Loader=_Yaml12))
    return [error.message for error in found]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_files_name_a_schema_and_fit_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    named = re.match(r"# yaml-language-server: \$schema=(\S+)\n", text)
    assert named is not None
    assert (path.parent / named[1]).resolve() == CONFIGS.resolve() / "schemas" / (
        FOLDERS[path.parent.name] + ".json"
    )
    assert problems(FOLDERS[path.parent.name], text) == []


@pytest.mark.parametrize(
    ("name", "written", "mistaken", "message"),
    [
        ("protocols/demo-rail.yaml", "overlap:", "overlp:", "'overlp' was unexpected"),
        ("protocols/demo-rail.yaml", "near: 20 mm", "near: 20", "not valid under any"),
        ("protocols/demo-rail.yaml", "aperture: f/5.6", "aperture: 5.6", "5.6 is not"),
        ("rigs/simulated-rail.yaml", "host_silence", "host_silense", "'host_silense' was unex"),
        ("rigs/simulated-rail.yaml", "driver: rail", "driver: rial", "'rial' is not valid"),
        ("rigs/simulated-rail.yaml", "speed: 4 mm/s", "speed: 4 mm", "'4 mm' does not match"),
        ("campaigns/demo-tray.yaml", "overlap:", "overlapp:", "not valid under any"),
        ("lenses/simulated-50mm.yaml", "slack: 9 steps", "slack: 9", "9 is not"),
    ],
)
def test_an_editor_sees_a_typo(name: str, written: str, mistaken: str, message: str) -> None:
    text = (CONFIGS / name).read_text(encoding="utf-8")
    assert written in text
    found = problems(FOLDERS[name.split("/")[0]], text.replace(written, mistaken))
    assert any(message in problem for problem in found), found
