#!/usr/bin/env bash
# python-barcode 0.16.1, Code 39: the label of item 31234 reads as 31234D.
#
# Guess: a Code 39 label holds the text it was given, as a Code 128 label of the same library does.
# Seen: Code39 appends a modulo-43 check character unless told otherwise. Nothing of Code 39 tells a reader that the last
#   character is a check, so a scanner types it as part of the number: no item of that number is known.
# Mend: `Code39(text, add_checksum=False)`, or Code 128, whose check is part of the symbology and never typed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check \
  python-barcode==0.16.1 pillow==12.0.0 numpy==2.3.5 zxing-cpp==3.1.1
"$folder/env/bin/python" - <<'PYTHON'
from io import BytesIO

import barcode
import numpy
import zxingcpp
from barcode.writer import ImageWriter
from PIL import Image


def read_back(kind, text, **options):
    picture = BytesIO()
    barcode.get_barcode_class(kind)(text, writer=ImageWriter(), **options).write(picture)
    (found,) = zxingcpp.read_barcodes(numpy.array(Image.open(picture).convert("L")))
    return found.text


for text in ("31234", "LIB0042", "B12345"):
    as_asked, without, code128 = read_back("code39", text), read_back("code39", text, add_checksum=False), read_back("code128", text)
    print(f"asked {text}: Code 39 reads {as_asked}, without check {without}, Code 128 reads {code128}")
    assert len(as_asked) == len(text) + 1 and as_asked.startswith(text)
    assert without == code128 == text
PYTHON
