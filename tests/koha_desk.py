"""A Koha at work: its desks, drivers and cataloguers write its tables as Koha's own code does, row by row and in its order.

DATETIMEs are on Koha's clock, TIMESTAMPs the server's. Nothing here knows how the adapter reads.
"""

import random
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tests.koha_simulated import run
from tests.unit.adapters.patron import CARD, NAME

BRANCHES = [f"BR{number}" for number in range(6)]
# A branch that the map lacks at first.
NEW_BRANCH = "NEW"
NO_BRANCH = ("OPACRenew", None, "")


class KohaDesk:
    """Copies that are lent, come back anywhere, travel, get lost, change and go; `at` is the present, in UTC."""

    def __init__(self, connection: Any, zone: str, at: datetime, seed: int, copies: int) -> None:
        self.connection, self.zone, self.at, self.draw = connection, ZoneInfo(zone), at, random.Random(seed)
        # Items by number: home, present branch, title, whether on loan; and the open transfer of each with its destination.
        self.homes: dict[int, str] = {}
        self.places: dict[int, str] = {}
        self.titles: dict[int, int] = {}
        self.lent: set[int] = set()
        self.lost: set[int] = set()
        self.transfers: dict[int, tuple[int, str]] = {}
        self.readers = 0
        for number in range(1, copies + 1):
            self._added(number)

    # --- Time and rows ---

    def later(self, most_s: int = 600) -> None:
        """Let time go on, now and then not at all: events of one second are written in Koha's order."""
        self.at += timedelta(seconds=self.draw.choice((0, 60, most_s)))

    def local(self, at: datetime | None = None) -> str:
        return (at or self.at).astimezone(self.zone).strftime("%Y-%m-%d %H:%M:%S")

    def _run(self, sql: str, *values: object) -> None:
        run(self.connection, sql, *values)

    def _item(self, item: int, **columns: object) -> None:
        names = ", ".join(f"{name} = %s" for name in columns)
        now = self.at.strftime("%Y-%m-%d %H:%M:%S")
        self._run(f"UPDATE items SET {names}, timestamp = %s WHERE itemnumber = %s", *columns.values(), now, item)

    def _counted(self, kind: str, item: int, branch: str | None) -> None:
        self._run(
            "INSERT INTO statistics (datetime, branch, type, other, itemnumber, borrowernumber) VALUES (%s, %s, %s, %s, %s, 1)",
            self.local(),
            branch,
            kind,
            CARD,
            item,
        )

    def _added(self, number: int) -> None:
        home = BRANCHES[number % len(BRANCHES)]
        self.homes[number] = self.places[number] = home
        self.titles[number] = number // 2 + 1
        self._run("INSERT IGNORE INTO biblio (biblionumber, title) VALUES (%s, 'Momo')", number // 2 + 1)
        self._run(
            "INSERT INTO items (itemnumber, biblionumber, barcode, dateaccessioned, homebranch, holdingbranch, itype, itemnotes,"
            " timestamp) VALUES (%s, %s, %s, '2026-01-05', %s, %s, 'BK', %s, '2026-01-05 09:00:00')",
            number,
            number // 2 + 1,
            f"b{number:04}",
            home,
            home,
            NAME,
        )

    # --- Circulation ---

    def lend(self, item: int) -> None:
        """A loan where the copy stands; a hold that waited for it is filled by it."""
        branch = self.places[item]
        self._run(
            "INSERT INTO old_reserves (reserve_id, biblionumber, branchcode, itemnumber, found, timestamp)"
            " SELECT reserve_id, biblionumber, branchcode, itemnumber, 'F', %s FROM reserves"
            " WHERE itemnumber = %s AND found = 'W'",
            self.at.strftime("%Y-%m-%d %H:%M:%S"),
            item,
        )
        self._run("DELETE FROM reserves WHERE itemnumber = %s AND found = 'W'", item)
        self._item(item, onloan="2026-12-01", itemlost=0, holdingbranch=branch, datelastseen=self.local())
        self._counted("issue", item, branch)
        self.lent.add(item)
        self.lost.discard(item)

    def bring_back(self, item: int, branch: str) -> None:
        """A return; away from home the copy is sent there."""
        self._item(item, onloan=None, holdingbranch=branch, datelastseen=self.local())
        self._counted("return", item, branch)
        self.places[item] = branch
        self.lent.discard(item)
        if branch != self.homes[item] and branch != NEW_BRANCH:
            self.send(item, branch, self.homes[item])

    def renew(self, item: int) -> None:
        """A renewal by its reader at home, or by cron: no branch made it."""
        self._counted("renew", item, self.draw.choice(NO_BRANCH))
        self._item(item, onloan="2026-12-15")

    # --- Transfers ---

    def send(self, item: int, start: str, to: str) -> None:
        """A copy into the van's crate."""
        self._run(
            "INSERT INTO branchtransfers (itemnumber, datesent, frombranch, tobranch, comments, reason)"
            " VALUES (%s, %s, %s, %s, %s, 'ReturnToHome')",
            item,
            self.local(),
            start,
            to,
            NAME,
        )
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT max(branchtransfer_id) AS number FROM branchtransfers")
            self.transfers[item] = cursor.fetchone()["number"], to
        self.connection.rollback()

    def receive(self, item: int) -> None:
        """A check-in at the destination."""
        number, to = self.transfers.pop(item)
        self.places[item] = to
        self._item(item, holdingbranch=to, datelastseen=self.local())
        self._counted("return", item, to)
        self._run("UPDATE branchtransfers SET datearrived = %s WHERE branchtransfer_id = %s", self.local(), number)

    def misroute(self, item: int) -> None:
        """A check-in at a third branch: the transfer stays open."""
        _, to = self.transfers[item]
        third = self.draw.choice([branch for branch in BRANCHES if branch != to])
        self._item(item, holdingbranch=third, datelastseen=self.local())
        self._counted("return", item, third)

    def lose(self, item: int) -> None:
        """Lost on its way: Koha marks the item, and cancels the transfer a second later."""
        number, _ = self.transfers.pop(item)
        self.lost.add(item)
        self._item(item, itemlost=2, itemlost_on=self.local())
        self.at += timedelta(seconds=1)
        self._run(
            "UPDATE branchtransfers SET datecancelled = %s, cancellation_reason = 'ItemLost' WHERE branchtransfer_id = %s",
            self.local(),
            number,
        )

    # --- Cataloguers, and holds ---

    def set_aside(self, item: int) -> None:
        """An item becomes what nobody can pick, or can be picked again."""
        sign = self.draw.choice(
            [{"damaged": 1}, {"notforloan": 2}, {"restricted": 1}, {"location": "PROC"}, {"withdrawn": 1}]
        )
        self._item(item, **({"damaged": 0, "notforloan": 0, "restricted": 0, "location": None, "withdrawn": 0} | sign))

    def hold(self, title: int, item: int | None = None) -> None:
        """A reader's hold; each has a reader of its own, and some wait on the hold shelf already."""
        self.readers += 1
        self._run("INSERT INTO borrowers (cardnumber, surname) VALUES (%s, %s)", f"{CARD}{self.readers}", NAME)
        waits = item is not None and item not in self.lent | self.lost | set(self.transfers)
        self._run(
            "INSERT INTO reserves (borrowernumber, biblionumber, branchcode, itemnumber, found, reservedate, timestamp)"
            " SELECT max(borrowernumber), %s, %s, %s, %s, %s, %s FROM borrowers",
            title,
            self.places[item] if item else self.draw.choice(BRANCHES),
            item,
            "W" if waits else None,
            self.local()[:10],
            self.at.strftime("%Y-%m-%d %H:%M:%S"),
        )

    def forget_readers(self) -> None:
        """Readers go, and their holds with them: no timestamp, trigger or log tells of it."""
        self._run("DELETE FROM borrowers WHERE borrowernumber MOD 3 = 0")

    def merge(self, one: int, into: int) -> None:
        """A title becomes another: its copies and holds move, the title goes."""
        self._run("UPDATE reserves SET biblionumber = %s WHERE biblionumber = %s", into, one)
        now = self.at.strftime("%Y-%m-%d %H:%M:%S")
        self._run("UPDATE items SET biblionumber = %s, timestamp = %s WHERE biblionumber = %s", into, now, one)
        self._run("DELETE FROM biblio WHERE biblionumber = %s", one)
        self.titles = {item: into if title == one else title for item, title in self.titles.items()}

    def delete(self, item: int) -> None:
        """An item goes to `deleteditems`; its holds and transfers go by cascades."""
        self._run("INSERT INTO deleteditems SELECT * FROM items WHERE itemnumber = %s", item)
        now = self.at.strftime("%Y-%m-%d %H:%M:%S")
        self._run("UPDATE deleteditems SET timestamp = %s WHERE itemnumber = %s", now, item)
        self._run("DELETE FROM items WHERE itemnumber = %s", item)
        self.transfers.pop(item, None)
        self.lent.discard(item)
        del self.homes[item]

    def step(self) -> None:
        """One thing that happens in a day."""
        self.later()
        item = self.draw.choice(sorted(self.homes))
        if item in self.transfers:
            self.draw.choices([self.receive, self.misroute, self.lose], [6, 2, 1])[0](item)
        elif item in self.lent:
            if self.draw.random() < 0.3:
                self.renew(item)
            else:
                self.bring_back(item, self.draw.choice([*BRANCHES, NEW_BRANCH]))
        else:
            self._on_the_shelf(item)

    def _on_the_shelf(self, item: int) -> None:
        home = self.draw.choice(BRANCHES)
        what = self.draw.choices(
            [
                lambda: self.lend(item),
                lambda: self.set_aside(item),
                lambda: self.hold(self.titles[item]),
                lambda: self.hold(self.titles[item], item),
                lambda: self._item(item, barcode=f"n{item:04}"),
                lambda: self._moved_home(item, home),
            ],
            [12, 2, 2, 1, 1, 1],
        )[0]
        what()

    def _moved_home(self, item: int, home: str) -> None:
        self.homes[item] = home
        self._item(item, homebranch=home)


def night_of_the_clock_change(desk: KohaDesk) -> list[datetime]:
    """Return instants of the repeated hour, first pass and second, in which night returns happen (25 October 2026, London)."""
    first = datetime(2026, 10, 25, 0, 5, tzinfo=UTC)
    return [first + timedelta(minutes=minutes) for minutes in (0, 50, 60, 65, 110)]
