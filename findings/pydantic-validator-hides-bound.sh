#!/usr/bin/env bash
# pydantic 2.14.3: a validator inside an annotated type takes a bound of the outer one out of the JSON Schema's words.
#
# Guess: `Annotated[Annotated[int, BeforeValidator(f)], Field(ge=0)]` and `Annotated[int, Field(ge=0), BeforeValidator(f)]`
#   say the same, and both schemas have "minimum": 0.
# Seen: both refuse -1. The schema of the first has "ge": 0 instead of "minimum": 0, a word that JSON Schema does not know, so
#   that every other program that reads the schema takes -1. No warning.
# Mend: bounds before the validator, in one Annotated.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check pydantic==2.14.3
"$folder/env/bin/python" - <<'PYTHON'
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, Field, ValidationError


def no_boolean(value):
    if isinstance(value, bool):
        raise ValueError("a number")
    return value


Whole = Annotated[int, BeforeValidator(no_boolean)]


class Stop(BaseModel):
    outside: Annotated[Whole, Field(ge=0)] = 0
    inside: Annotated[int, Field(ge=0), BeforeValidator(no_boolean)] = 0


fields = Stop.model_json_schema()["properties"]
print({name: {key: field[key] for key in field if key in ("ge", "minimum")} for name, field in fields.items()})
assert fields["outside"].get("ge") == 0 and "minimum" not in fields["outside"]
assert fields["inside"].get("minimum") == 0
for name in fields:
    try:
        Stop(**{name: -1})
    except ValidationError:
        continue
    raise SystemExit(f"{name} takes -1")
PYTHON
