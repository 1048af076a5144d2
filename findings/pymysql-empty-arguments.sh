#!/usr/bin/env bash
# PyMySQL 1.2.4: a statement with a percent sign means two things, by whether its empty arguments are () or None.
#
# Guess: a cursor's `execute(sql, ())` and `execute(sql)` are the same: there is nothing to put in.
# Seen: with None the text goes as it is; with () or [] or {} it is formatted, so `%%` becomes `%` and a lone `%` of LIKE or of
#   DATE_FORMAT raises. A reader of pages whose first page has no arguments breaks on its first page alone.
# Mend: pass None where there are none, or always at least one argument.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check PyMySQL==1.2.4
"$folder/env/bin/python" - <<'PYTHON'
from pymysql.cursors import Cursor


class Connection:
    """Enough of a connection to ask a cursor for the text that it would send."""

    encoding = "utf8"

    def literal(self, value):
        return repr(value)


cursor = Cursor(Connection())
sql = "SELECT DATE_FORMAT(datesent, '%%Y') FROM branchtransfers"
seen = {name: cursor.mogrify(sql, arguments) for name, arguments in (("None", None), ("()", ()), ("{}", {}))}
print(seen)
assert "%%Y" in seen["None"] and "%%Y" not in seen["()"] and "%%Y" not in seen["{}"]
try:
    cursor.mogrify("SELECT 1 FROM items WHERE itemcallnumber LIKE 'I247%'", ())
except (TypeError, ValueError) as error:
    print("()", type(error).__name__, error)
else:
    raise SystemExit("a lone percent sign is taken now")
PYTHON
