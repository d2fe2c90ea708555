"""``macrorail schema``: print the JSON Schema of a kind of YAML file, for editors."""

from __future__ import annotations

import json
from enum import Enum
from typing import Annotated

import typer

from macrorail.campaign.schema import campaign_schema
from macrorail.config.schemas import lens_schema, protocol_schema, rig_schema


class FileKind(Enum):
    """A kind of YAML file."""

    PROTOCOL = "protocol"
    RIG = "rig"
    CAMPAIGN = "campaign"
    LENS = "lens"


SCHEMAS = {
    FileKind.PROTOCOL: protocol_schema,
    FileKind.RIG: rig_schema,
    FileKind.CAMPAIGN: campaign_schema,
    FileKind.LENS: lens_schema,
}


def schema(
    kind: Annotated[FileKind, typer.Argument(help="kind of file", metavar="KIND")],
) -> None:
    """Print the JSON Schema of a kind of YAML file: protocol, rig, campaign or lens.

    Editors that support the YAML language server use the schema to complete and check keys and
    values. Put the name of the schema's file into the first line of the YAML file:

      # yaml-language-server: $schema=rig.json

    Examples:

      macrorail schema rig > rig.json
    """
    typer.echo(schema_text(kind), nl=False)


def schema_text(kind: FileKind) -> str:
    """Return the JSON Schema of a kind of file as text, formatted like the shipped schemas."""
    return json.dumps(SCHEMAS[kind](), indent=1, ensure_ascii=False) + "\n"
