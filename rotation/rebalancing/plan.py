"""The night's decision as one story: rates, values, circulation, certificate, pairs, reasons."""

from rotation.rebalancing.outcome import Code, Move, Plan, Prices, Reason, Shortfall, Suggestion
from rotation.rebalancing.snapshot import Settings, Snapshot

__all__ = ["Code", "Move", "Plan", "Prices", "Reason", "Shortfall", "Suggestion", "plan", "why_not"]


def plan(snapshot: Snapshot, settings: Settings | None = None, seed: int = 0) -> Plan:
    """Decide which copies move, within `settings`; the same snapshot and seed give the same plan to the byte.

    Raises
    ------
    ValueError
        With one sentence when the snapshot contradicts itself (a negative capacity, columns that point nowhere).
    """
    raise NotImplementedError


def why_not(snapshot: Snapshot, plan: Plan, title: int, place: int, settings: Settings | None = None) -> Reason:
    """Say why no copy of `title` goes to `place` in `plan` (or that one does)."""
    raise NotImplementedError
