"""The state of the network: alerts, visits, loans between owners, crates received."""

from typing import Annotated

import typer

from rotation.cli.context import beside, now
from rotation.cli.output import Json, answer, say, table

app = typer.Typer()


@app.command()
def alerts(
    everything: Annotated[bool, typer.Option("--all", help="Closed alerts too.")] = False, as_json: Json = False
) -> None:
    """List alerts, the newest first."""
    from dataclasses import asdict

    from rotation.views.notices import alerts_of

    with beside() as system, system.engine.connect() as connection:
        found = alerts_of(connection, is_open=None if everything else True, limit=None)
        rows = [{name.removeprefix("title_"): value for name, value in asdict(alert).items()} for alert in found]
        answer(rows, as_json, table("kind", "place_id", "class", "opened_at", "numbers"))


@app.command("unplaced")
def list_unplaced(as_json: Json = False) -> None:
    """List the copies that nobody can place: they left a place and were scanned nowhere since. No plan uses them."""
    from dataclasses import asdict

    from rotation.views.unplaced import unplaced_copies

    with beside() as system, system.engine.connect() as connection:
        rows = [asdict(copy) for copy in unplaced_copies(connection, limit=None)]
        answer(rows, as_json, table("place_id", "since", "copy_id", "title_name", "title_id"))


@app.command()
def owners(as_json: Json = False) -> None:
    """Show loans between owners: copies that are now in another owner's places."""
    from dataclasses import asdict

    from rotation.views.owner_balances import balances

    with beside() as system, system.engine.connect() as connection:
        rows = [asdict(balance) | {"owed": balance.owed} for balance in balances(connection, system.network)]
        answer(rows, as_json, table("lender", "borrower", "lent", "borrowed", "owed"))


@app.command("visits")
def list_visits(as_json: Json = False) -> None:
    """List announced visits by appointment, from today on."""
    from dataclasses import asdict

    from rotation.night.visits import coming

    with beside() as system, system.engine.connect() as connection:
        columns = ("place_id", "day", "announced_at", "take", "bring")
        answer([asdict(visit) for visit in coming(connection, system.today(connection))], as_json, table(*columns))


@app.command("received")
def crate_received(crate: Annotated[str, typer.Argument(help="The label on the crate.")]) -> None:
    """Receive all copies of a crate at a place that does not scan single copies."""
    from rotation.dispatch.receipts import receive
    from rotation.store.engine import driver

    with beside() as system, system.engine.begin() as connection:
        received = receive(driver(connection), system.network, crate, who="command line", at=now(connection))
        say(f"{received} received")
