"""Requested sets: titles gathered for an exhibition, or a deposit for a school."""

from datetime import datetime
from typing import Annotated

import typer

from rotation.cli.context import beside, now
from rotation.cli.output import Json, answer, say, table

app = typer.Typer(no_args_is_help=True, help="Requested sets: an exhibition, a school's deposit.")


@app.command("ask")
def ask(
    place: Annotated[str, typer.Argument(help="The place's id.")],
    due: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="Date the set must be on the shelf.")],
    title: Annotated[list[str] | None, typer.Option(help="A title's id; repeat for each title.")] = None,
    title_class: Annotated[
        str | None, typer.Option("--class", help="Instead of titles: a class; its titles will be new to the place.")
    ] = None,
    copies: Annotated[int, typer.Option(help="Number of copies of the class.")] = 0,
    return_on: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The day it goes back.")] = None,
    note: Annotated[str, typer.Option(help="What it is for.")] = "",
) -> None:
    """Request a set of titles, or a number of copies of a class that are new to a place."""
    from rotation.night import requested_sets

    until = return_on.date() if return_on else None
    request = requested_sets.SetRequest(place, due.date(), title or (), title_class, copies, until, note)
    with beside() as system, system.engine.begin() as connection:
        say(requested_sets.ask(connection, system.network, request, who="command line", at=now(connection)))


@app.command("list")
def list_sets(as_json: Json = False) -> None:
    """List the sets and how much of each has arrived."""
    from dataclasses import asdict

    from rotation.night.requested_sets import progress

    with beside() as system, system.engine.connect() as connection:
        columns = ("set_id", "place_id", "title_class", "due", "return_on", "copies", "come", "coming", "note")
        answer([asdict(requested) for requested in progress(connection)], as_json, table(*columns))


@app.command("cancel")
def cancel(set_id: Annotated[str, typer.Argument(help="The set's id.")]) -> None:
    """Stop gathering a set. Copies that have arrived become ordinary stock."""
    from rotation.night import requested_sets

    with beside() as system, system.engine.begin() as connection:
        requested_sets.cancel(connection, set_id, now(connection))
        say(f"{set_id} is no longer gathered")
