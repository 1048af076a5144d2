#!/usr/bin/env bash
# code128 0.3, Code 128: the labels of 儿-0012 (children) and 少-0012 (youth) are the same label, "?-0012".
#
# Guess: Code 128 has no Chinese characters, so the library refuses a text with one.
# Seen: each character beyond Latin-1 becomes a question mark, and a tilde disappears, both without an error. A scanner then
#   types "?-0012" for every room's shelf 12.
# Mend: ASCII ids in every code, or read each label back before it is printed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check code128==0.3 pillow==12.0.0 numpy==2.3.5 zxing-cpp==3.1.1
"$folder/env/bin/python" - <<'PYTHON'
import code128
import numpy
import zxingcpp
from PIL import Image


def read_back(text):
    bars = code128.image(text).convert("L")
    sheet = Image.new("L", (bars.width * 3 + 120, bars.height * 3 + 120), 255)
    sheet.paste(bars.resize((bars.width * 3, bars.height * 3), 0), (60, 60))
    return [found.text for found in zxingcpp.read_barcodes(numpy.array(sheet))]


expected = {"T-0012": "T-0012", "儿-0012": "?-0012", "少-0012": "?-0012", "a~b": "ab"}
for text, seen in expected.items():
    print(text, "reads", read_back(text))
    assert read_back(text) == [seen]
PYTHON
