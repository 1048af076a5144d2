"""Messages for Kafka that it refused: list them, send them again once the reason is mended, or drop them."""

from typing import Annotated

import typer

from rotation.cli.context import beside
from rotation.cli.errors import BAD_INPUT, end
from rotation.cli.output import Json, answer, say, table

app = typer.Typer(no_args_is_help=True, help="Messages for Kafka that it refused.")


@app.command("list")
def list_dead_letters(as_json: Json = False) -> None:
    """List the messages that Kafka refused and that are set aside, the oldest first."""
    from rotation.store.dead_letters import DeadLetter, dead_letters
    from rotation.store.engine import driver

    with beside() as system, system.engine.connect() as connection:
        rows = [one._asdict() for one in dead_letters(driver(connection).cursor())]
        answer(rows, as_json, table(*DeadLetter._fields))


@app.command("retry")
def retry(ids: Annotated[list[int] | None, typer.Argument(help="Their ids; none: all of them.")] = None) -> None:
    """Let the relay send messages again, after Kafka's limits were raised or its rights were given."""
    from rotation.store.engine import driver
    from rotation.store.outbox import put_back

    with beside() as system, system.engine.begin() as connection:
        say(f"{put_back(driver(connection).cursor(), ids or None)} messages wait for the relay again")


@app.command("drop")
def drop(ids: Annotated[list[int], typer.Argument(help="Their ids.")]) -> None:
    """Delete messages that nobody will need; the security log keeps which."""
    from rotation.accounts import security
    from rotation.store.dead_letters import drop as drop_them
    from rotation.store.engine import driver

    with beside() as system, system.engine.begin() as connection:
        dropped = drop_them(driver(connection).cursor(), ids)
        if not dropped:
            end("no such message is set aside; `rotation outbox list` shows those that are", BAD_INPUT)
        about = ", ".join(map(str, ids))
        security.note(connection, security.SecurityEvent.MESSAGE_DROPPED, "", security.COMMAND_LINE, about)
        say(f"{dropped} messages dropped")
