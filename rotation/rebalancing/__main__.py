"""Compile the inner loops of the night and the desk once: `python -m rotation.rebalancing`. Numba caches them beside the code.

Set-up runs this, so that a city's first night does not wait for the compiler.
"""

from rotation.rebalancing.demand import rates
from rotation.rebalancing.placement import Placer
from rotation.rebalancing.plan import plan
from rotation.rebalancing.snapshot import Copies, Exposure, Pairs, Places, PlanningSettings, Snapshot, Titles


def main() -> None:
    """Plan a night of three places and place one copy, with every kind of limit a city may have."""
    snapshot = Snapshot(
        titles=Titles.of([0, 1, 0]),
        places=Places.of(
            [0, 2, 3], [900, 500, 300], classes=2, room=9, in_copies=3, out_copies=3, fresh_quota=1, class_floor=1
        ),
        copies=Copies.of([0, 0, 1, 1, 2], [0, 0, 0, 1, 1], idle_weeks=9.0),
        exposure=Exposure.of([0, 0, 1, 2], [0, 2, 1, 1], [1.0, 4.0, 2.0, 0.0], [20.0, 6.0, 9.0, 9.0]),
        holds=Pairs.of([1], [2], [1]),
    )
    settings = PlanningSettings(budget_moves=2)
    decided = plan(snapshot, settings)
    Placer(snapshot, rates(snapshot, settings), decided.prices, settings).place(0, 1, home=0)


if __name__ == "__main__":
    main()
