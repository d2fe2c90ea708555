"""Check characters at the end of an id, which reveal misread or mistyped ids.

Only letters and digits are checked; separators are ignored.
"""

from __future__ import annotations

from collections.abc import Callable

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def iso7064_mod37_36(text: str) -> bool:
    """Return whether the last character is the right check character by ISO/IEC 7064 MOD 37,36.

    The scheme uses letters and digits. It detects every wrong character and every swap of two
    neighbouring characters.
    """
    letters = _letters(text)
    if len(letters) < 2:
        return False
    total = 36
    for letter in letters[:-1]:
        total = (total + _ALPHABET.index(letter)) % 36 or 36
        total = total * 2 % 37
    return (total + _ALPHABET.index(letters[-1])) % 36 == 1


def luhn(text: str) -> bool:
    """Return whether the last digit is the right check digit by ISO/IEC 7812-1, annex B (mod 10).

    Letters are ignored. The scheme detects every wrong digit and every swap of two neighbouring
    digits except 09 and 90.
    """
    digits = [int(letter) for letter in text if letter.isascii() and letter.isdigit()]
    if len(digits) < 2 or not text[-1].isdigit():
        return False
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


METHODS: dict[str, Callable[[str], bool]] = {
    "iso7064-mod37-36": iso7064_mod37_36,
    "luhn": luhn,
}


def with_check(text: str, method: str) -> str:
    """Return ``text`` with its check character appended, for printing labels."""
    return next(
        text + letter
        for letter in (_ALPHABET if method == "iso7064-mod37-36" else _ALPHABET[:10])
        if METHODS[method](text + letter)
    )


def _letters(text: str) -> str:
    return "".join(letter for letter in text.upper() if letter in _ALPHABET)
