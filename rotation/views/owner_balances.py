"""Balances between owners: rotation never changes an owner, so debts are counted from the copies that are with others."""

from collections import Counter
from dataclasses import dataclass

from sqlalchemy import Connection, text

from rotation.facts.movements import CopyState
from rotation.network import Network

_STANDING = text(f"""
    SELECT owner_id, place_id, count(*) FROM copies
    WHERE owner_id IS NOT NULL AND state NOT IN ('{CopyState.MISSING}', '{CopyState.WITHDRAWN}') GROUP BY 1, 2""")


@dataclass(frozen=True, slots=True)
class Balance:
    """Copies of two owners that stand with each other; `lender` has lent more, by `owed`."""

    lender: str
    borrower: str
    lent: int
    borrowed: int

    @property
    def owed(self) -> int:
        """How many more the borrower has of the lender's than the other way."""
        return self.lent - self.borrowed


def balances(connection: Connection, network: Network) -> list[Balance]:
    """Return the balance of each two owners with copies at each other's places, the largest first."""
    with_owner: Counter[tuple[str, str]] = Counter()
    for owner, place_id, copies in connection.execute(_STANDING):
        place = network.place.get(place_id)
        if place and place.owner and place.owner != owner:
            with_owner[owner, place.owner] += copies
    found = {_between(with_owner, *pair) for pair in with_owner}
    return sorted(found, key=lambda one: (-one.owed, one.lender, one.borrower))


def _between(with_owner: Counter[tuple[str, str]], one: str, other: str) -> Balance:
    lender, borrower = sorted(
        (one, other), key=lambda owner: (-with_owner[owner, other if owner == one else one], owner)
    )
    return Balance(lender, borrower, with_owner[lender, borrower], with_owner[borrower, lender])
