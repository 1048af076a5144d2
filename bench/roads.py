"""A network's ways from a real OSRM over a made-up city: in one of its largest blocks beside blocks of 50, and one place more.

    python -m bench.roads [--places 1000] [--side 170] [--seed 1]

Prints a JSON line for each figure. OSRM's own limit is raised to 2,000 places, as a city sets it for itself.
"""

import argparse
import json
import os
import random
import tempfile
import time
from pathlib import Path

from solver import road_table
from solver.routing_service import Osrm
from tests.road_services import crossing, osrm


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--places", type=int, default=1000)
    parser.add_argument("--side", type=int, default=170)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    dice = random.Random(options.seed)
    crossings = dice.sample(range(options.side**2), options.places + 1)
    points = [crossing(*divmod(one, options.side)) for one in crossings]
    about = {**vars(options), "load": round(os.getloadavg()[0], 1)}
    with (
        tempfile.TemporaryDirectory() as folder,
        osrm(Path(folder), "--max-table-size", "2000", side=options.side) as address,
    ):
        source, known = Osrm(address), road_table.NOTHING
        for block in (50, road_table.LARGEST_BLOCK):
            road_table.LARGEST_BLOCK = block
            begun = time.monotonic()
            known = road_table.road_table(source, points[:-1])
            print(
                json.dumps({"bench": "roads", "block": block, "seconds": round(time.monotonic() - begun, 2), **about})
            )
        begun = time.monotonic()
        road_table.road_table(source, points, known)
        print(
            json.dumps(
                {"bench": "roads", "what": "a place more", "seconds": round(time.monotonic() - begun, 2), **about}
            )
        )


if __name__ == "__main__":
    main()
