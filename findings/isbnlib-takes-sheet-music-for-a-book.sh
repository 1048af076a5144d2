#!/usr/bin/env bash
# isbnlib 3.10.14 and python-stdnum 2.2: the number of a piece of sheet music (ISMN) is a valid ISBN.
#
# Guess: 979-0 belongs to printed music, so `is_isbn13` and `isbn.is_valid` refuse it: no ISBN begins so.
# Seen: both accept each EAN that begins with 978 or 979. isbnlib then has no hyphens for it (an empty text) and stdnum
#   splits it into an empty group. A library that lends scores counts them among its books.
# Mend: `not number.startswith("9790")`, or `stdnum.ismn.is_valid` first.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check isbnlib==3.10.14 python-stdnum==2.2
"$folder/env/bin/python" - <<'PYTHON'
import isbnlib
from stdnum import isbn, ismn

score, book = "9790260000438", "9787020002207"
for number in (score, book):
    hyphens, parts = isbnlib.mask(number), isbn.split(number)
    print(number, isbnlib.is_isbn13(number), repr(hyphens), isbn.is_valid(number), parts, "ISMN:", ismn.is_valid(number))
    assert isbnlib.is_isbn13(number) and isbn.is_valid(number)
assert ismn.is_valid(score) and not ismn.is_valid(book)
assert isbnlib.mask(score) == "" and isbn.split(score)[1] == ""
PYTHON
