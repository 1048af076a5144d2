"""The mending of a shelf that is out of balance: its moves, or why there is none; and tiers' and owners' net flow."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import Connection, text

from rotation.facts.lifecycle import COMING, TransferState, listed
from rotation.network import Network
from rotation.night.day_figures import WINDOW_DAYS
from rotation.views.balance import Level

MOST_MOVES = 200  # of a shelf: more than one holds


@dataclass(frozen=True, slots=True)
class MendingMove:
    """A move to a shelf that is short, or from a shelf that has too many."""

    transfer_id: str
    title: str
    from_place_id: str
    to_place_id: str
    status: str
    day: date | None
    gain_loans: float | None


@dataclass(frozen=True, slots=True)
class Hindrance:
    """Why no move mends a shelf: the facts that the last night decided by.

    `price` is the gain of one more copy of the class there in loans (None: unknown), `move_price` the least gain of a move;
    `elsewhere` are the copies of the class that other places have too many of, or too few.
    """

    planned: bool
    price: float | None
    move_price: float
    elsewhere: int


_MOVES = """
    SELECT t.transfer_id, coalesce(i.name, t.title_id, t.copy_id), t.from_place_id, t.to_place_id, t.status, t.day, t.gain_loans
    FROM transfers t JOIN copies c USING (copy_id) LEFT JOIN titles i ON i.title_id = t.title_id
    WHERE t.status IN ({states}) AND c.class = :cls AND t.{end} = :place
    ORDER BY t.day, t.gain_loans DESC NULLS LAST, t.transfer_id LIMIT {most}"""


def moves(connection: Connection, level: Level) -> list[MendingMove]:
    """Return the open moves of a class to a place that is short of it, or from a place that has too many."""
    end = "from_place_id" if level.beyond > 0 else "to_place_id"
    statement = text(_MOVES.format(states=listed(COMING), end=end, most=MOST_MOVES))
    rows = connection.execute(statement, {"cls": level.title_class, "place": level.place_id})
    return [MendingMove(*row) for row in rows]


def hindrance(connection: Connection, level: Level, levels: Iterable[Level]) -> Hindrance:
    """Return the last night's reason, where no move mends a shelf."""
    night = connection.execute(text("SELECT details ->> 'move_price' FROM plans ORDER BY day DESC LIMIT 1")).first()
    price = connection.scalar(
        text("SELECT price_loans FROM shelf_prices WHERE place_id = :place AND class = :cls"),
        {"place": level.place_id, "cls": level.title_class},
    )
    others = (one.beyond for one in levels if one.title_class == level.title_class and one.place_id != level.place_id)
    elsewhere = sum(abs(beyond) for beyond in others if beyond * level.beyond < 0)
    return Hindrance(night is not None, price, float(night[0] or 0) if night else 0.0, elsewhere)


# --- Net flow ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NetFlow:
    """Copies that a tier or owner gave to others and got from them in WINDOW_DAYS, with the loans that both were to bring."""

    subject: str
    gave: int
    got: int
    gave_loans: float
    got_loans: float

    @property
    def net(self) -> int:
        """Copies more than before: negative where it was drained."""
        return self.got - self.gave


_FLOWS = text(f"""
    SELECT from_place_id, to_place_id, count(*), coalesce(sum(gain_loans), 0) FROM transfers
    WHERE status = '{TransferState.RECEIVED}' AND changed_at > :since AND changed_at <= :now GROUP BY 1, 2""")


def net_flows(connection: Connection, network: Network, now: datetime) -> tuple[list[NetFlow], list[NetFlow]]:
    """Return the net flows of tiers, from the city down, and of owners, the most drained first."""
    rows = connection.execute(_FLOWS, {"since": now - timedelta(days=WINDOW_DAYS), "now": now}).all()
    known = [tuple(row) for row in rows if row[0] in network.place and row[1] in network.place]
    tiers = _net(known, lambda place: network.place[place].tier)
    owners = _net(known, lambda place: network.place[place].owner or "")
    order: dict[str, int] = (
        {str(tier): number for number, tier in enumerate(type(network.places[0].tier))} if network.places else {}
    )
    return (
        sorted(tiers, key=lambda flow: order.get(flow.subject, 0)),
        sorted((flow for flow in owners if flow.subject), key=lambda flow: (flow.net, flow.subject)),
    )


def _net(rows: Iterable[tuple[str, str, int, float]], part: Callable[[str], str]) -> list[NetFlow]:
    gave, got = Counter[str](), Counter[str]()
    gave_loans, got_loans = Counter[str](), Counter[str]()
    for here, there, copies, loans in rows:
        one, other = part(here), part(there)
        if one != other:
            gave[one] += copies
            got[other] += copies
            gave_loans[one] += loans  # type: ignore[assignment]  # a Counter of floats
            got_loans[other] += loans  # type: ignore[assignment]
    return [
        NetFlow(one, gave[one], got[one], float(gave_loans[one]), float(got_loans[one])) for one in sorted(gave | got)
    ]
