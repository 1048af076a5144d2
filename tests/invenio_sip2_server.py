"""The server library invenio-sip2 as a library system, run by a Python that has it: `PYTHON tests/invenio_sip2_server.py PORT`.

Its own configuration wants Redis; a dictionary does for one process. Every item belongs to BR1; its title names a reader.
"""

import os
import sys
from typing import Any

from flask import Flask
from invenio_sip2.datastore import Datastore
from invenio_sip2.ext import InvenioSIP2
from invenio_sip2.models import SelfcheckCheckin, SelfcheckItemInformation
from invenio_sip2.server import SocketServer

TITLE = "lent to Zhang-Xiaoming-7001"


class InMemory(Datastore):
    """Records by key, as long as the process lives."""

    def __init__(self, app: Any = None, **_: Any) -> None:
        self.records: dict[str, dict[str, Any]] = {}

    def get(self, id_: str, record_type: str | None = None) -> Any:
        return self.records.get(f"{record_type}:{id_}")

    def add(self, record: Any, id_: str | None = None, **_: Any) -> None:
        self.records[record.get_key()] = record.dumps()

    def update(self, record: Any, **_: Any) -> None:
        self.add(record)

    def delete(self, record: Any, record_type: str | None = None) -> None:
        self.records.pop(record.get_key(), None)

    def flush(self) -> None:
        self.records.clear()

    def all(self, record_type: str | None = None) -> Any:
        return iter(self.records.values())

    def search(self, *_: Any, **__: Any) -> list[Any]:
        return list(self.records.values())


def login(user: str, password: str, **_: Any) -> dict[str, Any] | None:
    """Let one machine in."""
    machine = {"authenticated": True, "terminal": user, "institution_id": "BR1", "transaction_user_id": "1"}
    return machine if (user, password) == ("machine", "secret") else None


def item(identifier: str, **_: Any) -> SelfcheckItemInformation:
    """Tell of any item that it is on its way to BR3."""
    return SelfcheckItemInformation(
        item_id=identifier,
        title_id=TITLE,
        circulation_status="IN_TRANSIT",
        permanent_location="BR1",
        current_location="BR2",
        destination_location="BR3",
        sort_bin="7",
        hold_queue_length=2,
    )


def checkin(user: str, identifier: str, **_: Any) -> SelfcheckCheckin:
    """Check any item in but `refused`."""
    return SelfcheckCheckin(
        permanent_location="BR1",
        checkin=identifier != "refused",
        alert=True,
        title_id=TITLE,
        sort_bin="7",
        destination_location="BR3",
        alert_type="04",
        patron_id=TITLE,
    )


if __name__ == "__main__":
    app = Flask("library")
    app.config.update(
        SIP2_DATASTORE_HANDLER=InMemory,
        SIP2_LOGGING_CONSOLE=False,
        SIP2_REMOTE_ACTION_HANDLERS={
            "library": {
                "login_handler": login,
                "item_handlers": {"item": item},
                "circulation_handlers": {"checkin": checkin},
            }
        },
    )
    InvenioSIP2(app)
    with app.app_context():
        SocketServer("library", "127.0.0.1", int(sys.argv[1]), remote="library", process_id=os.getpid()).run()
