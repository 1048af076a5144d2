"""The database: upgrade, roles, and checking it against the facts."""

import typer

from rotation.cli.context import beside
from rotation.cli.errors import FAILED, end
from rotation.cli.output import say

app = typer.Typer()
group = typer.Typer(no_args_is_help=True, help="The database.")


@group.command("upgrade")
def upgrade() -> None:
    """Create or upgrade the tables, and take over each place's levels from the network file."""
    from rotation.store.targets import set_targets

    with beside() as system, system.engine.begin() as connection:
        set_targets(connection, system.network)
        say("the database is up to date")


@group.command("roles")
def roles() -> None:
    """Create the least-privilege roles of worker, relay, planner and page, or bring them up to date."""
    from rotation.system.roles import grant

    with beside() as system:
        say(f"granted: {', '.join(grant(system.settings.database_address()))}")


@app.command()
def audit() -> None:
    """Recount everything from the facts, check the chain of decisions, and list the differences."""
    from rotation.store.audit import audit as differences_in
    from rotation.store.audit import last_decision
    from rotation.store.engine import driver

    with beside() as system, system.engine.connect() as connection:
        cursor = driver(connection).cursor()
        differences = differences_in(cursor, system.network.network.timezone)
        if differences:
            end("\n".join(map(str, differences)), FAILED)
        say("everything agrees with the facts")
        if last := last_decision(cursor):
            say(f"the last of {last.number} decisions has the hash {last.hash}")


@app.command()
def rebuild() -> None:
    """Empty the tables, replay every event from Kafka, and compare the result with the tables as they were."""
    from streams.rebuild import NotKept
    from streams.rebuild import rebuild as replay_all

    with beside(kafka=True) as system:
        url, kafka = system.settings.database_address(), system.kafka()
        try:
            differences = replay_all(url, kafka, system.network, lambda done, total: say(f"{done} of {total} messages"))
        except NotKept as gone:
            end(str(gone), FAILED)
        if differences:
            end(
                "\n".join(
                    f"{d.table}: {d.only_before} rows only before, {d.only_after} only after" for d in differences
                ),
                FAILED,
            )
        say("the rebuilt database equals the one it replaces")
