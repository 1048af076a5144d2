"""Draw the terminal of a running demonstration into docs/pictures/terminal.svg: `python docs/terminal_picture.py`."""

import os
from pathlib import Path

from rich.console import Console

from config import load
from rotation import network
from rotation.store.engine import engine
from rotation.system.processes import noted_addresses
from rotation.system.terminal import panel
from rotation.views.status import figures

PICTURE = Path(__file__).parent / "pictures" / "terminal.svg"
WIDTH = 118


def main() -> None:
    """Draw the figures of the system that runs in data_dir, as its own terminal shows them."""
    settings = load()
    found = noted_addresses(settings)
    if not found:
        raise SystemExit("nothing runs in data_dir: start `make run` first")
    zone = network.read(settings.network_file()).timezone
    with engine(found["DATABASE_URL"]).connect() as connection:
        now = figures(connection, zone)
    with open(os.devnull, "w") as nowhere:
        console = Console(record=True, width=WIDTH, file=nowhere)
        console.print(panel(now, f"http://{settings.web_host}:{settings.web_port}", []))
        PICTURE.write_text(console.export_svg(title="make run"), encoding="utf-8")


if __name__ == "__main__":
    main()
