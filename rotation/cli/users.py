"""People's accounts, at the machine: for whoever has lost the last administrator's password, and to read the security log."""

from typing import Annotated

import typer

from rotation.accounts.permissions import OF_PLACES, Role, Scope
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


@app.command("token")
def token(
    about: Annotated[str, typer.Argument(help="The machine that uses it; of a library system, its events' source.")],
    role: Annotated[Role, typer.Option(help="What the machine may do.")],
    scope: Annotated[list[Scope] | None, typer.Option(help="Of that, only this; repeatable.")] = None,
    place: Annotated[list[str] | None, typer.Option(help="Only at this place; repeatable.")] = None,
    days: Annotated[int, typer.Option(min=1, max=3650, help="How long it is valid.")] = 365,
) -> None:
    """Make a machine's token, printed once."""
    from datetime import UTC, datetime, timedelta

    from rotation.accounts import auth, security

    with beside() as system, system.engine.begin() as connection:
        if unknown := sorted(set(place or ()) - set(system.network.place)):
            end(f"no place {', '.join(unknown)}", BAD_INPUT)
        if place is None and role in OF_PLACES - {Role.DESK}:
            end(f"a token of {role} is for places: --place", BAD_INPUT)
        until = datetime.now(UTC) + timedelta(days=days)
        made = auth.add_token(connection, role, about, security.COMMAND_LINE, until, place, scope)
        where = security.COMMAND_LINE
        security.note(connection, security.SecurityEvent.TOKEN_MADE, "", where, f"{about} {role}")
        say(made)


@app.command("log")
def log(as_json: Json = False) -> None:
    """Show each attempt, permission and change, with person and address; the newest first."""
    from rotation.accounts.security import SecurityLine, lines

    with beside() as system, system.engine.connect() as connection:
        answer([line._asdict() for line in lines(connection)], as_json, table(*SecurityLine._fields))
