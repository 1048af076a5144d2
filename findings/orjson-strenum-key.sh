#!/usr/bin/env bash
# orjson 3.13.0: a StrEnum is written as a value and refused as a key.
#
# Guess: a StrEnum is a str, so `{State.SENT: 3}` is written like `{"sent": 3}`; json does so.
# Seen: as a value it is "sent"; as a key orjson raises TypeError "Dict key must be str". Counts by state cannot be written until
#   OPT_NON_STR_KEYS is set, which is for keys that are no text.
# Mend: OPT_NON_STR_KEYS, or `str.__str__(key)` for the keys.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check orjson==3.13.0
"$folder/env/bin/python" - <<'PYTHON'
import json
from enum import StrEnum

import orjson


class State(StrEnum):
    SENT = "sent"


print(json.dumps({State.SENT: 3}), orjson.dumps([State.SENT]))
assert orjson.dumps([State.SENT]) == b'["sent"]' and isinstance(State.SENT, str)
try:
    orjson.dumps({State.SENT: 3})
except TypeError as error:
    print("orjson:", error)
else:
    raise SystemExit("orjson takes a StrEnum as a key now")
assert orjson.dumps({State.SENT: 3}, option=orjson.OPT_NON_STR_KEYS) == b'{"sent":3}'
PYTHON
