"""People's accounts, at the machine: for whoever has lost the last administrator's password, and to read the security log."""

from typing import Annotated

import typer

from rotation.cli.context import beside
from rotation.cli.errors import BAD_INPUT, end
from rotation.cli.output import Json, answer, say, table

app = typer.Typer(no_args_is_help=True, help="People's accounts.")


@app.command("reset")
def reset(
    name: Annotated[str, typer.Argument(help="The user's name.")],
) -> None:
    """Give a user a new one-time password, printed once; the user's sessions end."""
    import secrets

    from rotation.accounts import auth, security

    with beside() as system, system.engine.begin() as connection:
        known = auth.user_named(connection, name)
        if known is None:
            end(f"no user {name}", BAD_INPUT)
        password = secrets.token_urlsafe(9)
        auth.set_password(connection, known.caller.name, password, must_change=True)
        event, where = security.SecurityEvent.PASSWORD_RESET, security.COMMAND_LINE
        security.note(connection, event, "", where, known.caller.name)
        say(f"one-time password / 一次性密码: {known.caller.name} / {password}")


@app.command("log")
def log(as_json: Json = False) -> None:
    """Show each attempt, permission and change, with person and address; the newest first."""
    from rotation.accounts.security import SecurityLine, lines

    with beside() as system, system.engine.connect() as connection:
        answer([line._asdict() for line in lines(connection)], as_json, table(*SecurityLine._fields))
