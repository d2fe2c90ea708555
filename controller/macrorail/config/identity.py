"""The schema of a protocol's ``identity`` section: where ids come from and which are accepted."""

from __future__ import annotations

import re
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from macrorail.config.document import Section, key_error
from macrorail.quantity import Length

Origin = Literal["list", "prompt", "scanner", "frame"]


class IdentitySection(Section):
    """How a specimen's id is found.

    Attributes
    ----------
    origin
        Where the id comes from. ``list``: the row of the list that names the position. ``prompt``:
        the operator types the id. ``scanner``: a barcode scanner that works like a keyboard.
        ``frame``: a Data Matrix or QR label in a picture that the camera takes before the first
        slice.
    position_um
        With ``from: frame``, the position of the axis for the picture of the label. The axis does
        not move for this picture when no position is given. Example: ``20 mm``
    listing
        CSV file of all ids that exist; its path is relative to the protocol. No other id is
        accepted. Example: ``specimens.csv``
    check_digit
        Check-digit scheme of the ids: the last character checks the others.
    pattern
        Regular expression that the complete text of a label must match. The id is the first group
        of the expression, or the complete text if there is no group. Example: ``NHMUK (\\d{9})``
    missing
        What to do without an id. ``error``: no picture is taken. ``quarantine``: the specimen is
        shot as ``unidentified-...`` into a separate folder.
    repeats
        What to do with an id that was shot already.
    """

    origin: Origin = Field(alias="from")
    position_um: Length | None = Field(alias="position", default=None)
    listing: str | None = Field(alias="list", default=None)
    check_digit: Literal["iso7064-mod37-36", "luhn"] | None = None
    pattern: str | None = None
    missing: Literal["error", "quarantine"] = "error"
    repeats: Literal["refuse", "allow"] = "refuse"

    @field_validator("pattern")
    @classmethod
    def _valid_expression(cls, value: str | None) -> str | None:
        try:
            re.compile(value or "")
        except re.error as error:
            raise ValueError(f"is not a regular expression: {error}") from error
        return value

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.position_um is not None and self.origin != "frame":
            raise key_error("position", "is allowed only with 'from: frame'")
        if self.origin == "list" and self.listing is None:
            raise key_error("from", "'from: list' needs the key 'list: FILE.csv', which is missing")
        if self.origin == "frame" and self.listing is None and self.check_digit is None:
            raise key_error(
                "from",
                "'from: frame' needs 'list: FILE.csv' or 'check_digit', so that a misread label is "
                "not mistaken for the label of another specimen",
            )
        return self
