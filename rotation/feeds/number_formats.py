"""Numbers of a spreadsheet as their format shows them: a barcode is often a number behind zeros, a letter or a hyphen.

Only formats of digits and fixed text count. Formats of dates, decimals, thousands and percentages change no id.
"""

import re

# A piece of a format: fixed text (quoted, after a backslash, or plain), room for padding, or a digit's place.
PIECE = re.compile(
    r'"(?P<text>[^"]*)"|\\(?P<sign>.)|_.|\*.|(?P<plain>[-/:()])|(?P<blank> )|(?P<digit>[0#?])|(?P<other>.)'
)
# Colours, conditions and languages before the pieces: [Red], [>0], [$-804].
BRACKETS = re.compile(r"\[[^\]]*\]")


def shown(value: object, number_format: str | None) -> object:
    """Return a whole number as the text that its format shows, without blanks; any other value unchanged.

    `number_format` is a spreadsheet's own (00000000, "B"0000-0000). A format without zeros or fixed text, or with anything but
    digits and fixed text, changes nothing.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not number_format or not 0 <= value < 10**15:
        return value
    if value != int(value) or (pieces := _pieces(number_format)) is None:
        return value
    return _filled(pieces, str(int(value)))


def _pieces(number_format: str) -> list[str] | None:
    """Return the format's places of digits as "0" and "#", and its fixed text after a space; None where it is of another kind."""
    pieces: list[str] = []
    for found in PIECE.finditer(BRACKETS.sub("", number_format.partition(";")[0])):
        if found["other"]:
            return None
        text = found["text"] or found["sign"] or found["plain"] or ""
        if found["digit"]:
            pieces.append("0" if found["digit"] == "0" else "#")
        elif text.strip():
            pieces.append(f" {text.strip()}")
    zeros = pieces.count("0")
    return pieces if zeros > 1 or (zeros and len(pieces) > zeros + pieces.count("#")) else None


def _filled(pieces: list[str], digits: str) -> str:
    """Return the format with the digits in it from the right; those beyond its places stand at the first."""
    left, written = list(digits), list[str]()
    first = next(at for at, piece in enumerate(pieces) if piece in "0#")
    for at in range(len(pieces) - 1, -1, -1):
        piece = pieces[at]
        if piece[0] == " ":
            written.append(piece[1:])
        elif left:
            written.append("".join(left) if at == first else left.pop())
            left = [] if at == first else left
        elif piece == "0":
            written.append("0")
    return "".join(reversed(written))
