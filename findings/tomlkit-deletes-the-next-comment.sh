#!/usr/bin/env bash
# tomlkit 0.15.2: with an entry of an array of tables goes the comment of the entry below it, and its own stays.
#
# Guess: a library that keeps comments takes the comment above an entry along with it, or leaves all comments.
# Seen: the comment lines above an entry belong to the entry before. After `del document["place"][0]` the reader finds the first
#   place's comment above the second place, whose own comment is gone.
# Mend: before deleting, move trailing comments of the entry to the entry before it (or to the document's head), and remove the
#   comment that stood above it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check tomlkit==0.15.2
"$folder/env/bin/python" - <<'PYTHON'
import tomlkit

text = """# closed on Mondays
[[place]]
id = "north"

# rented until 2030
[[place]]
id = "south"
"""
document = tomlkit.parse(text)
del document["place"][0]
print(tomlkit.dumps(document))
assert tomlkit.dumps(document) == '# closed on Mondays\n[[place]]\nid = "south"\n'
PYTHON
