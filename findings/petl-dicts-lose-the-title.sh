#!/usr/bin/env bash
# petl 1.7.30: after a join of items and branches, the name of an item is the name of its branch.
#
# Guess: a join of two tables that share a column besides the key renames one of them, or refuses, as pandas and Polars do.
# Seen: the joined table has two columns of one name. As tuples all is there; `dicts`, `cut` by name and `values` take one of
#   the two without a word, and not the same: `dicts` the right table's, `values` the left one's.
# Mend: `lprefix` or `rprefix` in each join, or `prefixheader` before it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check petl==1.7.30
"$folder/env/bin/python" - <<'PYTHON'
import petl

items = [["branch", "name"], ["B1", "A book"]]
branches = [["branch", "name"], ["B1", "North branch"]]
joined = petl.leftjoin(items, branches, key="branch")
print(list(joined))
assert list(joined) == [("branch", "name", "name"), ("B1", "A book", "North branch")]
(row,) = petl.dicts(joined)
(value,) = petl.values(joined, "name")
(cut,) = petl.data(petl.cut(joined, "name"))
print("dicts:", row["name"], "| values:", value, "| cut:", cut)
assert (row["name"], value, cut) == ("North branch", "A book", ("A book",))
(right,) = petl.dicts(petl.leftjoin(items, branches, key="branch", rprefix="branch_"))
assert right == {"branch": "B1", "name": "A book", "branch_name": "North branch"}
PYTHON
