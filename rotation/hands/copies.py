"""The copy that a scanned code names."""

from typing import Any

from sqlalchemy import Connection, Row, text

from rotation.hands.door import Refused, Tone

# A barcode is an attribute that a library system may change (`item_copies`, `shelvings`); without one the id is the barcode. A
# code that is nobody's present barcode still names the copy that has it as its id: of a label that was not replaced yet.
_NAMED = text("""
    SELECT c.copy_id, c.state, c.place_id, c.to_place_id, c.title_id, c.class AS title_class, c.owner_id, c.fixed,
        coalesce(t.name, c.title_id, c.copy_id) AS title, coalesce(s.call_number, '') AS call_number,
        coalesce(i.barcode, nullif(s.barcode, ''), c.copy_id) = :code AS is_present
    FROM copies c LEFT JOIN titles t USING (title_id) LEFT JOIN shelvings s USING (copy_id)
    LEFT JOIN LATERAL (
        SELECT barcode FROM item_copies i WHERE i.copy_id = c.copy_id ORDER BY i.barcode = :code DESC LIMIT 1) i ON true
    WHERE c.copy_id IN (
        SELECT CAST(:code AS text) UNION SELECT copy_id FROM shelvings WHERE barcode = :code AND barcode <> ''
        UNION SELECT copy_id FROM item_copies WHERE barcode = :code)
    ORDER BY c.copy_id""")
NAMED_AT_MOST = 3  # of copies with one barcode; more help nobody


def copy_of(connection: Connection, code: str) -> Row[Any]:
    """Return the copy that a code names: by its present barcode, else by its id.

    Raises
    ------
    Refused
        When no copy has the code, or several have it.
    """
    named = connection.execute(_NAMED, {"code": code}).all()
    found = [row for row in named if row.is_present] or [row for row in named if row.copy_id == code]
    if not found:
        raise Refused("unknown_code", scanned=code)
    if len(found) > 1:
        titles = " · ".join(f"{row.title} {row.call_number}".strip() for row in found[:NAMED_AT_MOST])
        raise Refused("shared_code", Tone.WARN, scanned=code, titles=titles)
    return found[0]


def about(copy: Row[Any]) -> dict[str, str]:
    """Return the words of an answer that name a copy."""
    return {"title": copy.title, "call_number": copy.call_number}
