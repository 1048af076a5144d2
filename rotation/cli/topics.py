"""Kafka's topics: create and check them, their rights, and reading on after Kafka was replaced."""

from typing import Annotated

import typer

from rotation.cli.context import beside
from rotation.cli.errors import BAD_INPUT, FAILED, end
from rotation.cli.output import say

app = typer.Typer(no_args_is_help=True, help="Kafka's topics.")


@app.command("create")
def create() -> None:
    """Create the topics that are missing."""
    from config.kafka import client
    from rotation.kafka import admin

    with beside(kafka=True) as system:
        made = admin.create(client(system.settings), replication=system.settings.kafka_replication)
        say(f"created: {', '.join(made)}" if made else "all topics exist")


@app.command("check")
def check() -> None:
    """Compare the topics with their contracts. Nothing is changed."""
    from config.kafka import client
    from rotation.kafka import admin

    with beside(kafka=True) as system:
        differences = admin.check(client(system.settings))
        if differences:
            end("\n".join(map(str, differences)), FAILED)
        say("all topics match their contracts")


@app.command("rewind")
def rewind() -> None:
    """Read a replaced Kafka from its beginning, or go on after messages that were deleted unread.

    Events that were applied before count as duplicates.
    """
    from config.kafka import client
    from rotation.store import topic_identity as identity
    from rotation.store.engine import driver

    with beside(kafka=True) as system, system.engine.begin() as connection:
        anew, passed_by = identity.rewind(client(system.settings), driver(connection).cursor())
        if anew:
            say(f"partitions to be read from their beginning: {', '.join(map(str, anew))}")
        for partition, messages in passed_by.items():
            say(f"partition {partition}: {messages} deleted messages skipped and counted as a gap")
        if not anew and not passed_by:
            say("Kafka holds every unread message: nothing to do")


@app.command("allow")
def allow(
    role: Annotated[str, typer.Argument(help="worker, relay, planner, solver, web or source.")],
    user: Annotated[str, typer.Argument(help="The Kafka user.")],
) -> None:
    """Give a Kafka user the rights of a role, on a broker with an authorizer."""
    from config.kafka import client
    from rotation.kafka import acls

    if role not in acls.RIGHTS:
        end(f"unknown role {role!r}; roles: {', '.join(acls.RIGHTS)}", BAD_INPUT)
    with beside(kafka=True) as system:
        try:
            rules = acls.allow(client(system.settings), role, user)
        except PermissionError as refused:
            end(str(refused), FAILED)
        say(f"{user} has the rights of {role}: {rules} rules")
