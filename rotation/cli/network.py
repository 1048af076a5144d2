"""The network file."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rotation.cli.errors import one_sentence
from rotation.cli.output import say

if TYPE_CHECKING:
    from rotation.network import Network

app = typer.Typer(no_args_is_help=True, help="The network file.")


map_app = typer.Typer(no_args_is_help=True, help="Maps of a library system's names to the network's.")
Export = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The export: a table of items.")]
Preset = Annotated[str, typer.Option("--map", help="Column map (TOML) of the export, or the name of a preset.")]
Names = Annotated[
    Path | None,
    typer.Option(
        "--names", exists=True, dir_okay=False, help="Table of the export's codes (or CODE/LOCATION) and names."
    ),
]


@map_app.command("suggest")
def suggest(export: Export, column_map: Preset, names: Names = None) -> None:
    """Propose a map's [places] from an export: each code and location with its copies, and why it is read so."""
    from rotation.feeds import suggesting, tables
    from rotation.feeds.file_imports import map_file

    with one_sentence():
        chosen = tables.read_map(map_file(column_map))
        stock = suggesting.stock_of(export, chosen)
        lines = suggesting.suggested(stock, suggesting.names_in(names) if names else {})
        print(suggesting.as_toml(lines, stock.words, chosen), end="")
    guesses = sum(line.guess for line in lines)
    say(
        f"{stock.places.total()} copies at {len(lines)} places; {guesses} guesses; {stock.unread} rows that cannot be read"
    )


@app.command("new")
def new(
    export: Export,
    column_map: Preset,
    branches: Annotated[
        Path, typer.Option(exists=True, dir_okay=False, help="Table of branches: name, code, lat, lon, hours ...")
    ],
    name: Annotated[str, typer.Option(help="The network's name.")],
    timezone: Annotated[str, typer.Option(help="The city's time zone, such as Asia/Shanghai.")],
    out: Annotated[Path, typer.Option(help="Folder for network.toml and map.toml; files there are not replaced.")],
    names: Names = None,
) -> None:
    """Make a network file and a map from a table of branches and an export of items; every guess is marked and counted."""
    from rotation.feeds import new_network, suggesting, tables
    from rotation.feeds.file_imports import map_file
    from rotation.network import read

    with one_sentence():
        chosen = tables.read_map(map_file(column_map))
        stock = suggesting.stock_of(export, chosen)
        made = new_network.proposed(
            name, timezone, new_network.branches_in(branches), stock, suggesting.names_in(names) if names else {}
        )
        out.mkdir(parents=True, exist_ok=True)
        with (out / "network.toml").open("x", encoding="utf-8") as file:
            file.write(made.network)
        with (out / "map.toml").open("x", encoding="utf-8") as file:
            file.write(suggesting.map_of(map_file(column_map), made.places, made.classes, stock.words, chosen))
        network = read(out / "network.toml")
    for sentence in (*made.left_out, *_unlocated(network)):
        say(sentence)
    for field, count in sorted(made.guesses.items()):
        say(f"guessed: {field}: {count}")
    say(f"{out / 'network.toml'} and {out / 'map.toml'}: look at the lines with `guess:`, then rotation import table")


@app.command("check")
def check(file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The network file (TOML).")]) -> None:
    """List every mistake in a network file, with its line."""
    from rotation.network import read

    with one_sentence():
        network = read(file)
    counts = f"{len(network.places)} places, {len(network.hubs)} hubs, {len(network.vans)} vans"
    say(f"{file.name}: {counts}: no mistake found")
    for sentence in _unlocated(network):
        say(sentence)


def _unlocated(network: "Network") -> Iterator[str]:
    """Yield sentences about places to which no van can go."""
    for hub in network.hubs:
        if not hub.located:
            yield f"hub {hub.id} has no coordinates: no van can leave it, and no run is planned"
    if without := sum(not place.located for place in network.places):
        yield f"{without} of {len(network.places)} places have no coordinates: no van can go there"
