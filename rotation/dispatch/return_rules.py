"""Rules that librarians set for returned copies, heard before the prices: do not float; at most so many of a title at a place."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, insert, select, text, update

from rotation.facts.lifecycle import COMING, ReturnRuleKind, listed
from rotation.facts.movements import CopyState
from rotation.store.tables import return_rules

MOST_COPIES = 99  # of a title at a place; a rule of more says nothing


@dataclass(frozen=True, slots=True)
class ReturnRule:
    """A rule of a place, class and title, each empty for all; `copies` of a title at most at a place."""

    kind: ReturnRuleKind
    place_id: str = ""
    title_class: str = ""
    title_id: str = ""
    copies: int | None = None
    rule_id: int = 0
    who: str = ""

    def fits(self, copy: Row[Any], place: str) -> bool:
        """Whether it speaks of a copy at a place."""
        asked = ((self.place_id, place), (self.title_class, copy._mapping["class"]), (self.title_id, copy.title_id))
        return all(not wanted or wanted == found for wanted, found in asked)


class RuleCode(StrEnum):
    """Codes of the reasons that rules give."""

    HOME = "rule_home"
    AT_MOST = "rule_at_most"


def standing(connection: Connection, place: str | None = None) -> list[ReturnRule]:
    """Return the rules that stand, the oldest first; those that speak of a place, or all."""
    names = ("kind", "place_id", "class", "title_id", "copies", "rule_id", "who")
    query = select(*(return_rules.c[name] for name in names)).where(return_rules.c.ended_at.is_(None))
    mine = query if place is None else query.where(return_rules.c.place_id.in_(("", place)))
    return [ReturnRule(ReturnRuleKind(kind), *rest) for kind, *rest in connection.execute(mine.order_by("rule_id"))]


def add(connection: Connection, rule: ReturnRule, *, who: str, at: datetime) -> None:
    """Set a rule; `at` is the network's time.

    Raises
    ------
    ValueError
        When a rule of numbers has none, or one that says nothing.
    """
    if rule.kind is ReturnRuleKind.AT_MOST and not 1 <= (rule.copies or 0) <= MOST_COPIES:
        raise ValueError(f"at most {rule.copies} copies: expected 1 to {MOST_COPIES}")
    row = {"kind": rule.kind, "place_id": rule.place_id, "class": rule.title_class, "title_id": rule.title_id}
    number = rule.copies if rule.kind is ReturnRuleKind.AT_MOST else None
    connection.execute(insert(return_rules), {**row, "copies": number, "who": who, "set_at": at})


def end(connection: Connection, rule_id: int, place: str, at: datetime, *, everywhere: bool) -> bool:
    """End a rule of a place, or (`everywhere`) one of all places; return whether it stood."""
    places = ("", place) if everywhere else (place,)
    mine = (return_rules.c.rule_id == rule_id) & return_rules.c.place_id.in_(places) & return_rules.c.ended_at.is_(None)
    return bool(connection.execute(update(return_rules).where(mine).values(ended_at=at)).rowcount)


# --- Applied ----------------------------------------------------------------------------------------------------------


def stays_home(rules: Sequence[ReturnRule], copy: Row[Any], place: str) -> bool:
    """Whether a rule keeps a copy from floating."""
    return any(rule.kind is ReturnRuleKind.DO_NOT_FLOAT and rule.fits(copy, place) for rule in rules)


# Of a title at each place, on the shelf or coming; the copy itself left out.
_OF_TITLE = text(f"""
    SELECT place_id, sum(n)::int4 FROM (
        SELECT coalesce(to_place_id, place_id) AS place_id, 1 AS n FROM copies
        WHERE title_id = :title AND copy_id <> :copy AND state IN (
            '{CopyState.ON_SHELF}', '{CopyState.ON_HOLD_SHELF}', '{CopyState.IN_TRANSIT}', '{CopyState.PICKED}')
        UNION ALL SELECT to_place_id, 1 FROM transfers t
        WHERE title_id = :title AND copy_id <> :copy AND status IN ({listed(COMING)}) AND NOT EXISTS (
            SELECT FROM copies c WHERE c.copy_id = t.copy_id AND c.to_place_id = t.to_place_id)) counted GROUP BY 1""")


def within_limits(
    connection: Connection, rules: Sequence[ReturnRule], copy: Row[Any], to: Sequence[str]
) -> tuple[str, int | None]:
    """Return the first of the places `to` where a title's limit leaves room, and the limit that ruled out the first of all.

    Where all are full, it is the first.
    """
    limits = [rule for rule in rules if rule.kind is ReturnRuleKind.AT_MOST]
    if not copy.title_id or not any(rule.fits(copy, place) for rule in limits for place in to):
        return to[0], None
    found: dict[str, int] = dict(connection.execute(_OF_TITLE, {"title": copy.title_id, "copy": copy.copy_id}).all())
    most = {place: min((r.copies or 0 for r in limits if r.fits(copy, place)), default=MOST_COPIES) for place in to}
    free = [place for place in to if found.get(place, 0) < most[place]]
    return (free[0], None if free[0] == to[0] else most[to[0]]) if free else (to[0], None)
