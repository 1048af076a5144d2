#!/usr/bin/env bash
# geopy 2.5.0: "31 13 49 N, 121 28 25 E" is a place at 28° N, 25° E.
#
# Guess: degrees, minutes and seconds without their signs are read as such, or refused as an unknown format.
# Seen: the last two numbers before the last letter, minutes and seconds of the longitude, count as latitude and longitude, and
#   the rest is passed over without an error: a branch in Shanghai is in Egypt. With the signs it is right, and degrees with
#   minutes alone are refused.
# Mend: signs between the numbers, or decimal degrees; then check the place against the city's own box.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check geopy==2.5.0
"$folder/env/bin/python" - <<'PYTHON'
from geopy import Point

place = (31 + 13 / 60 + 49 / 3600, 121 + 28 / 60 + 25 / 3600)
for text, right in (("31°13'49\"N 121°28'25\"E", True), ("31.2304 N, 121.4737 E", True), ("31 13 49 N, 121 28 25 E", False)):
    point = Point(text)
    near = abs(point.latitude - place[0]) < 0.01 and abs(point.longitude - place[1]) < 0.01
    print(f"{text!r} -> {point.latitude:.4f}, {point.longitude:.4f}, right: {near}")
    assert near is right
PYTHON
