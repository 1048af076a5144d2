#!/usr/bin/env bash
# rispy 0.10.0: of a record's two ISBNs (hardcover and paperback, or 10 and 13 digits) the second is gone.
#
# Guess: a tag that comes twice is a list, or both values stand in one text; notes, authors and links do so.
# Seen: for SN, PB, DO and all other tags outside a short list only the first value is kept and the rest is dropped without a warning; written
#   back, the file has lost it. Matching a publisher's list by ISBN misses the copies with the other number.
# Mend: `enforce_list_tags=False`, which gives a list where a tag comes twice; or SN among `list_tags`, then always a list.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check rispy==0.10.0
"$folder/env/bin/python" - <<'PYTHON'
import rispy

text = "TY  - BOOK\nTI  - A book\nSN  - 7020002207\nSN  - 9787020002207\nN1  - a\nN1  - b\nER  - \n"
(record,) = rispy.loads(text)
print(record)
assert record["issn"] == "7020002207" and record["notes"] == ["a", "b"]
assert "9787020002207" not in rispy.dumps([record])
(mended,) = rispy.loads(text, enforce_list_tags=False)
assert mended["issn"] == ["7020002207", "9787020002207"]
PYTHON
