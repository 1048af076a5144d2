"""The security log: tries, permissions and changes, by whom and from where. Equal lines of a minute are merged and counted."""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects.postgresql import insert

from rotation.store.tables import security_log

COMMAND_LINE = "command line"
LINES = 200  # of a page


class SecurityEvent(StrEnum):
    """Subjects of the log's lines."""

    SIGNED_IN = "signed_in"
    WRONG_PASSWORD = "wrong_password"  # noqa: S105, a word for the log
    MADE_TO_WAIT = "made_to_wait"
    SIGNED_OUT = "signed_out"
    SIGNED_OUT_EVERYWHERE = "signed_out_everywhere"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105
    PASSWORD_RESET = "password_reset"  # noqa: S105
    USER_ADDED = "user_added"
    USER_REMOVED = "user_removed"
    ROLE_CHANGED = "role_changed"
    TOKEN_MADE = "token_made"  # noqa: S105
    TOKEN_ENDED = "token_ended"  # noqa: S105
    BAD_TOKEN = "bad_token"  # noqa: S105
    NOT_ALLOWED = "not_allowed"
    MESSAGE_DROPPED = "message_dropped"
    PURGED = "purged"


class SecurityLine(NamedTuple):
    """Lines of a minute that are equal. `who` is empty where nobody known asked: the typed name is not kept."""

    minute: datetime
    what: str
    who: str
    address: str
    about: str
    times: int


def note(connection: Connection, what: SecurityEvent, who: str, address: str, about: str = "") -> None:
    """Write a line, in the caller's transaction."""
    line = insert(security_log).values(
        minute=func.date_trunc("minute", func.now()), what=what, who=who, address=address, about=about
    )
    again = {"times": security_log.c.times + 1}
    connection.execute(line.on_conflict_do_update(index_elements=list(security_log.primary_key), set_=again))


def lines(connection: Connection, limit: int = LINES) -> list[SecurityLine]:
    """Return the newest lines."""
    query = select(security_log).order_by(security_log.c.minute.desc(), security_log.c.what).limit(limit)
    return [SecurityLine(*row) for row in connection.execute(query)]
