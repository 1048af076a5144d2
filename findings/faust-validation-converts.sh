#!/usr/bin/env bash
# faust-streaming 0.15.3, Records with `validation=True`: "false" is true, 1.7 copies are 1, and both are valid.
#
# Guess: validation refuses a value of another type, or reads "false" as the text that it is.
# Seen: each value goes through Python's bool() or int() first, and what comes out is checked: `is_valid()` is true and
#   `validation_errors` empty. A field of an Enum takes any text, and stays a text.
# Mend: parse at the edge with a strict model, and let Faust carry bytes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check faust-streaming==0.15.3
"$folder/env/bin/python" - 2>/dev/null <<'PYTHON'
import enum

import faust


class State(str, enum.Enum):
    LENT = "lent"


class Copy(faust.Record, validation=True):
    fixed: bool = False
    waiting: int = 0
    state: State = State.LENT


for sent, seen in (({"fixed": "false"}, True), ({"waiting": 1.7}, 1), ({"state": "eaten"}, "eaten")):
    copy = Copy.from_data(sent)
    ((field, _),) = sent.items()
    print(sent, "->", repr(getattr(copy, field)), "valid:", copy.is_valid(), copy.validation_errors)
    assert getattr(copy, field) == seen
    assert copy.is_valid()
PYTHON
