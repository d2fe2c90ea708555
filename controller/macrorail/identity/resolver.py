"""Finds and checks specimen ids, so that each id is valid and is used only once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from macrorail.config.folder_names import LONGEST, safe_name
from macrorail.config.identity import IdentitySection, Origin
from macrorail.errors import IdentityError
from macrorail.identity.check_digits import METHODS
from macrorail.identity.labels import read_labels
from macrorail.identity.specimen_list import ListedSpecimen, read_specimen_list

#: Number of attempts by the operator or the camera before an id counts as missing.
TRIES = 3

#: Shows a question and returns the line that is typed or scanned; an empty line means "no id".
AskOperator = Callable[[str], str]
#: Takes a picture of the label and returns its file.
TakePicture = Callable[[], Path]

#: Scanners add an AIM symbology identifier and control characters to the text.
_AIM = re.compile(r"^\][A-Za-z][0-9A-Za-z]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class Identity:
    """The identity of one specimen.

    Attributes
    ----------
    id
        The id, valid as a folder name; ``unidentified-...`` in quarantine.
    origin
        Source of the id: ``list``, ``prompt``, ``scanner`` or ``frame``.
    label
        Text of the label as read or typed; empty in quarantine.
    terms
        The specimen's other entries in the list, as keys of a protocol's ``specimen`` section.
    quarantined
        Why no id was found; ``None`` if an id was found.
    """

    id: str
    origin: Origin
    label: str
    terms: dict[str, str] = field(default_factory=dict)
    quarantined: str | None = None

    @property
    def specimen(self) -> dict[str, str]:
        """The ``specimen`` section of a protocol: the id, its origin and the terms."""
        origin = "none" if self.quarantined else self.origin
        return {**self.terms, "id": self.id, "id_from": origin}


class IdResolver:
    """Resolves the ids of one run or one campaign.

    Parameters
    ----------
    settings
        The protocol's ``identity`` section.
    folder
        Folder of the protocol; the list's path is relative to it.
    taken
        Ids that were shot already.

    Raises
    ------
    ConfigError
        The list cannot be read or contains an error.
    """

    def __init__(self, settings: IdentitySection, folder: Path, taken: Iterable[str] = ()) -> None:
        self._settings = settings
        self._list: list[ListedSpecimen] | None = None
        self._list_path = Path()
        if settings.listing is not None:
            self._list_path = folder / settings.listing
            self._list = read_specimen_list(self._list_path)
        self._by_label = {one.label.casefold(): one for one in self._list or ()}
        self._by_label |= {one.id.casefold(): one for one in self._list or ()}
        self._by_place = {one.place.casefold(): one for one in self._list or () if one.place}
        self._taken = {name.casefold() for name in taken}
        self._labels: dict[str, str] = {}

    @property
    def listed(self) -> Sequence[ListedSpecimen]:
        """The specimens in the order of the list; empty if the protocol names no list."""
        return tuple(self._list or ())

    def check_places(self, places: Iterable[str]) -> None:
        """Check that every position of a campaign has an unused id, if the ids come from the list.

        Raises
        ------
        IdentityError
            The message names every position without an id and every id that was shot already.
        """
        if self._settings.origin != "list" or self._settings.missing == "quarantine":
            return
        problems = []
        for place in places:
            try:
                self.accept(self._label_at(place), claim=False)
            except IdentityError as error:
                problems.append(str(error))
        if problems:
            raise IdentityError("\n".join(problems))

    def identify(
        self, place: str, ask: AskOperator | None = None, look: TakePicture | None = None
    ) -> Identity:
        """Return the identity of the specimen at ``place``; to be called before its first shot.

        Parameters
        ----------
        place
            Name of the position, as in the list (``A3``), or the name of the run.
        ask
            Asks the operator for the id; needed for ``from: prompt`` and ``from: scanner``.
        look
            Takes a picture of the label; needed for ``from: frame``.

        Raises
        ------
        IdentityError
            No valid id was found, and the setting ``missing`` is ``error``.
        """
        origin = self._settings.origin
        try:
            if origin == "list":
                return self.accept(self._label_at(place))
            if origin == "frame":
                if look is None:
                    raise IdentityError("there is no camera to read the label with")
                return self._read(place, look)
            if ask is None:
                raise IdentityError("there is no operator to ask for the id")
            return self._asked(place, ask)
        except IdentityError as error:
            if self._settings.missing == "error":
                raise
            return self._quarantine(place, str(error))

    def accept(self, text: str, claim: bool = True) -> Identity:
        """Check the text of a label, reserve its id and return the identity.

        Parameters
        ----------
        claim
            ``False`` only checks the text and reserves nothing.

        Raises
        ------
        IdentityError
            The text is not a valid id, is not in the list, has a wrong check digit, or its id was
            shot already.
        """
        identity = self._decide(text)
        self._refuse_repeats(identity)
        if claim:
            self._taken.add(identity.id.casefold())
            self._labels[identity.id.casefold()] = identity.label
        return identity

    def _decide(self, text: str) -> Identity:
        label = _CONTROL.sub("", _AIM.sub("", text.strip().strip("\x02\x03"))).strip()
        settings = self._settings
        if not label:
            raise IdentityError("no id was given")
        name = label
        if settings.pattern is not None:
            fits = re.fullmatch(settings.pattern, label)
            if fits is None:
                raise IdentityError(f"'{label}' does not fit the pattern '{settings.pattern}'")
            name = (fits[1] if fits.re.groups else fits[0]) or ""
        if settings.check_digit is not None and not METHODS[settings.check_digit](name):
            raise IdentityError(
                f"'{name}' is misread or mistyped: its check digit ({settings.check_digit}) is "
                f"wrong"
            )
        if self._list is not None:
            listed = self._by_label.get(name.casefold())
            if listed is None:
                raise IdentityError(f"'{name}' is not in {self._list_path}")
            return Identity(listed.id, settings.origin, label, dict(listed.terms))
        try:
            safe = safe_name(name)
        except ValueError as error:
            raise IdentityError(f"'{name}' cannot be an id: it {error}") from error
        terms = {} if safe == name else {"catalog_number": name}
        return Identity(safe, settings.origin, label, terms)

    def _refuse_repeats(self, identity: Identity) -> None:
        key = identity.id.casefold()
        other = self._labels.get(key)
        if other is not None and other.casefold() != identity.label.casefold():
            raise IdentityError(
                f"'{identity.label}' and '{other}' would both become the id {identity.id}; "
                f"use a list with an 'id' column that distinguishes them"
            )
        if key in self._taken and self._settings.repeats == "refuse":
            raise IdentityError(
                f"{identity.id} was shot already; write 'repeats: allow' under 'identity' to shoot "
                f"it again"
            )

    def _label_at(self, place: str) -> str:
        listed = self._by_place.get(place.casefold())
        if listed is None:
            raise IdentityError(f"{self._list_path} names no specimen at position {place}")
        return listed.label

    def _asked(self, place: str, ask: AskOperator) -> Identity:
        verb = "Scan" if self._settings.origin == "scanner" else "Type"
        unchecked = self._list is None and self._settings.check_digit is None
        why = ""
        for _ in range(TRIES):
            text = ask(f"{why}{verb} the id of the specimen at {place}: ")
            if not text.strip():
                raise IdentityError(f"no id was given for the specimen at {place}")
            try:
                self.accept(text, claim=False)
                if unchecked:
                    # Nothing else would reveal a typing error, so the id is asked for twice.
                    again = ask(f"{verb} the id of the specimen at {place} a second time: ")
                    if again.strip() != text.strip():
                        raise IdentityError("the two entries differ")
                return self.accept(text)
            except IdentityError as error:
                why = f"Not accepted: {error}. "
        raise IdentityError(f"no id for the specimen at {place} after {TRIES} tries. {why}".strip())

    def _read(self, place: str, look: TakePicture) -> Identity:
        seen: list[str] = []
        for _ in range(TRIES):
            seen = read_labels(look())
            if seen:
                break
        decided: dict[str, Identity] = {}
        problems = []
        for text in seen:
            try:
                identity = self._decide(text)
                decided[identity.id] = identity
            except IdentityError as error:
                problems.append(str(error))
        if len(decided) > 1:
            # The frame also shows a neighbour's label.
            raise IdentityError(
                f"the frame at {place} shows the labels of {' and '.join(sorted(decided))}; cover "
                f"all labels except the specimen's own"
            )
        if not decided:
            found = "; ".join(problems) or f"no Data Matrix or QR code was read in {TRIES} frames"
            raise IdentityError(f"no id for the specimen at {place}: {found}")
        return self.accept(next(iter(decided.values())).label)

    def _quarantine(self, place: str, reason: str) -> Identity:
        stem = "unidentified-" + re.sub(r"[^A-Za-z0-9._-]+", "-", place).strip("-._")
        name, number = stem[:LONGEST].rstrip("-._"), 1
        while name.casefold() in self._taken:
            number += 1
            name = f"{stem[: LONGEST - 5].rstrip('-._')}-{number}"
        self._taken.add(name.casefold())
        return Identity(name, self._settings.origin, "", {}, reason)
