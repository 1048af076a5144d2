#!/usr/bin/env bash
# pynmea2 1.19.0: a receiver without a fix is at 0° N, 0° E.
#
# Guess: latitude and longitude of a sentence that has none (a van in a garage) are None, or raise.
# Seen: both are the number 0.0, as at a real fix in the Gulf of Guinea; only `lat` and `lon` (texts) are empty. A van's arrival
#   estimate is then thousands of kilometres off, and a distance is computed without an error.
# Mend: take a position only where `is_valid` is true, and `lat` and `lon` are not empty.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check pynmea2==1.19.0
"$folder/env/bin/python" - <<'PYTHON'
import pynmea2


def sentence(text):
    check = 0
    for character in text.encode():
        check ^= character
    return pynmea2.parse(f"${text}*{check:02X}")


for text in ("GPRMC,120000.00,V,,,,,,,020326,,,N", "GPGGA,120000.00,,,,,0,00,99.9,,M,,M,,"):
    heard = sentence(text)
    print(text, "->", repr(heard.latitude), repr(heard.longitude), "valid:", heard.is_valid, "lat:", repr(heard.lat))
    assert (heard.latitude, heard.longitude, heard.is_valid, heard.lat) == (0.0, 0.0, False, "")
PYTHON
