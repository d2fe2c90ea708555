"""The types of picture files: how each is recognised, and which package is needed to read it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

_HEAD_BYTES = 32


@dataclass(frozen=True)
class Kind:
    """A type of picture file.

    Attributes
    ----------
    name
        Name of the type in messages.
    suffixes
        File name suffixes in lower case, with the dot.
    module, extra
        Additional module that reads the type, and the extra of macrorail that installs the module.
        Both are empty if no additional module is needed.
    is_readable
        False for types that macrorail recognises by name but cannot read.
    """

    name: str
    suffixes: frozenset[str]
    module: str = ""
    extra: str = ""
    is_readable: bool = True

    def obstacle(self) -> str | None:
        """Return why files of this type cannot be read and what to do; ``None`` if readable."""
        if not self.is_readable:
            return f"{self.name} files cannot be stacked; convert them to 16-bit TIFF"
        if self.module and find_spec(self.module) is None:
            return (
                f"{self.name} files need {self.module}, which is not installed; install it with: "
                f"pip install 'macrorail[{self.extra}]'"
            )
        return None


def _suffixes(names: str) -> frozenset[str]:
    return frozenset(f".{name}" for name in names.split())


JPEG = Kind("JPEG", frozenset({".jpg", ".jpeg", ".jpe", ".jfif"}))
TIFF = Kind("TIFF", frozenset({".tif", ".tiff"}))
PNG = Kind("PNG", frozenset({".png"}))
WEBP = Kind("WebP", frozenset({".webp"}))
AVIF = Kind("AVIF", frozenset({".avif"}))
HEIF = Kind("HEIF", frozenset({".heic", ".heif", ".hif"}), "pillow_heif", "heif")
JXL = Kind("JPEG XL", frozenset({".jxl"}), "pillow_jxl", "jxl")
RAW = Kind(
    "raw",
    _suffixes(
        "nef nrw cr2 cr3 crw arw sr2 srf raf orf rw2 rwl pef dng 3fr fff iiq srw erf mrw kdc dcr "
        "mos mef gpr"
    ),
    "rawpy",
    "raw",
)
#: Types of pictures often found in folders with frames, but which macrorail cannot read.
OTHER = Kind(
    "other picture",
    _suffixes("bmp gif psd psb jp2 j2k jxr exr hdr x3f ppm pgm czi lif nd2 lsm tga"),
    is_readable=False,
)
#: Order of preference among files of the same picture: developed and deeper files first.
KINDS = (TIFF, PNG, JXL, HEIF, AVIF, WEBP, JPEG, RAW, OTHER)


def kind_of(path: Path) -> Kind | None:
    """Return the type indicated by a file's suffix; ``None`` if no picture type has the suffix."""
    suffix = path.suffix.lower()
    return next((kind for kind in KINDS if suffix in kind.suffixes), None)


def is_picture(path: Path) -> bool:
    """Return whether files with this suffix can be stacked, given any additional module needed."""
    kind = kind_of(path)
    return kind is not None and kind.is_readable


def kind_in(path: Path) -> Kind | None:
    """Return the type of a file according to its first bytes, independent of its name.

    The suffix decides if the first bytes are unknown or the suffix is that of a raw file.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    named = kind_of(path)
    if named is RAW:  # the first bytes of many raw files are those of a TIFF
        return RAW
    brand = head[8:12] if head[4:8] == b"ftyp" else b""
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return TIFF
    if head[:3] == b"\xff\xd8\xff":
        return JPEG
    if head[:8] == b"\x89PNG\r\n\x1a\n":
        return PNG
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return WEBP
    if brand in (b"avif", b"avis"):
        return AVIF
    if brand in (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"):
        return HEIF
    if head[:2] == b"\xff\x0a" or head[4:8] == b"JXL ":
        return JXL
    return named
