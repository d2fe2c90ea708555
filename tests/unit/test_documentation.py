"""What the documentation shows is so: links lead to files, and its YAML is accepted."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from macrorail.campaign.schema import CampaignSection
from macrorail.config.document import read_document
from macrorail.config.protocol import Protocol, load_protocol
from macrorail.config.rig import Rig, load_rig
from macrorail.shipped import CONFIGS

ROOT = Path(__file__).parents[2]
#: Those that are not part of the site, whose links mkdocs checks.
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "firmware/README.md")


@pytest.mark.parametrize("page", PAGES)
def test_relative_links_lead_to_files(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    targets = [match[1] for match in re.finditer(r"\]\(([^)#\s]+)[^)]*\)", text)]
    assert targets
    missing = [
        target
        for target in targets
        if "://" not in target and not ((ROOT / page).parent / target).exists()
    ]
    assert missing == []


def yaml_blocks() -> list[object]:
    found = []
    for page in sorted((ROOT / "docs").rglob("*.md")):
        blocks = re.findall(r"^( *)```yaml\n(.*?)^ *```", page.read_text("utf-8"), re.M | re.S)
        for number, (indent, block) in enumerate(blocks, 1):
            text = re.sub(rf"^{indent}", "", block, flags=re.M)
            if "--8<--" not in text and "line_stage" not in text:
                found.append(pytest.param(text, id=f"{page.stem}-{number}"))
    return found


@pytest.mark.parametrize("text", yaml_blocks())
def test_yaml_in_the_documentation_is_accepted(text: str, tmp_path: Path) -> None:
    path = tmp_path / "shown.yaml"
    path.write_text(text, encoding="utf-8")
    shown = read_document(path).data
    if "campaign" in shown:
        read_document(path).validate(CampaignSection, ("campaign",))
        return
    # A page may show a part; the rest comes from a shipped file.
    is_rig = shown.keys() <= {info.alias or name for name, info in Rig.model_fields.items()}
    if not is_rig:
        known = {info.alias or name for name, info in Protocol.model_fields.items()}
        assert shown.keys() <= known, "neither of a rig nor of a protocol"
    elif shown.keys() == {"optics"}:
        pytest.skip("the optics of a rig or of a protocol")
    base = "rigs/simulated-rail.yaml" if is_rig else "protocols/demo-rail.yaml"
    whole = {**read_document(CONFIGS / base).data, **shown}
    if "identity" in shown:
        del whole["specimen"]
    if isinstance(shown.get("exposure"), dict):
        whole["exposure"] = {"shutter": "1/60 s", **shown["exposure"]}  # type: ignore[dict-item]
    path.write_text(yaml.safe_dump(whole), encoding="utf-8")
    if is_rig:
        load_rig(path)
    else:
        load_protocol(path)
