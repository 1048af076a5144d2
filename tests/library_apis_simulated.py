"""Koha's REST API, FOLIO's API and a SIP2 server as stand-ins that hold bodies to the published schemas, and fail as they do.

Each counts what it really did. `faults` says what becomes of the next changing request: an answer instead of it, or "lost": it is
done, and the connection ends without an answer. Tokens end after `answers_a_token` answers.
"""

import json
import socketserver
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from rotation.feeds import sip2

KOHA_HOLD = {
    "patron_id": int,
    "biblio_id": int,
    "item_group_id": int,
    "hold_date": str,
    "item_id": int,
    "pickup_library_id": str,
    "expiration_date": str,
    "notes": str,
    "item_type": str,
    "non_priority": bool,
}
KOHA_ITEM = frozenset(
    {"item_id", "biblio_id", "external_id", "home_library_id", "holding_library_id", "extended_subfields"}
)
FOLIO_CHECK_IN = frozenset({"itemBarcode", "servicePointId", "checkInDate", "claimedReturnedResolution", "sessionId"})
LOST = "lost"


class _Api(ThreadingHTTPServer):
    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.faults: list[str | int] = []
        self.answers_a_token, self.left, self.signed_in = 10**6, 0, 0
        self.done: list[tuple[str, str]] = []

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Any

    def _body(self) -> str:
        return self.rfile.read(int(self.headers.get("content-length") or 0)).decode()

    def _answer(self, status: int, body: Any = None, headers: dict[str, str] | None = None) -> None:
        content = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _changes(self, what: str, change: Any) -> None:
        """Do a change, or what the next fault says."""
        fault = self.server.faults.pop(0) if self.server.faults else None
        if isinstance(fault, int):
            self._answer(fault, {"error": "as the test says"})
            return
        status, body, did = change()
        if did:
            self.server.done.append((what, did))
        if fault == LOST:
            self.connection.close()
            return
        self._answer(status, body)

    def _token(self) -> None:
        self.server.left, self.server.signed_in = self.server.answers_a_token, self.server.signed_in + 1

    def _known(self) -> bool:
        self.server.left -= 1
        return bool(self.server.left >= 0)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


# --- Koha ---------------------------------------------------------------------------------------------------------------------


class Koha(_Api):
    """Items by number, and holds by their id."""

    def __init__(self) -> None:
        super().__init__(_KohaHandler)
        self.items: dict[int, dict[str, Any]] = {}
        self.holds: dict[int, dict[str, Any]] = {}
        # Those that are over; None: a release that does not list them.
        self.old_holds: dict[int, dict[str, Any]] | None = {}

    def item(self, number: int, barcode: str, home: str, **more: Any) -> None:
        """Add an item."""
        own = {"item_id": number, "biblio_id": number + 1000, "external_id": barcode, "home_library_id": home}
        self.items[number] = own | {"holding_library_id": home, "extended_subfields": None} | more


class _KohaHandler(_Handler):
    def do_POST(self) -> None:
        body = self._body()
        if self.path == "/api/v1/oauth/token":
            right = parse_qs(body) == {
                "grant_type": ["client_credentials"],
                "client_id": ["us"],
                "client_secret": ["x"],
            }
            self._token() if right else None
            token = {"access_token": "t", "token_type": "Bearer", "expires_in": 3600}
            self._answer(*(200, token) if right else (403, {"error": "unauthorized_client"}))
        elif self._signed_in() and self.path == "/api/v1/holds":
            self._changes("hold", lambda: self._hold(json.loads(body)))

    def do_GET(self) -> None:
        address, found = urlsplit(self.path), self.server
        asked = {name: values[0] for name, values in parse_qs(address.query).items()}
        if not self._signed_in():
            return
        if address.path == "/api/v1/holds":
            mine = (int(asked["item_id"]), int(asked["patron_id"]))
            self._answer(200, [one for one in found.holds.values() if (one["item_id"], one["patron_id"]) == mine])
        elif address.path.endswith("/holds"):  # of a patron
            wanted = json.loads(asked.get("q", "{}"))
            old = [one for one in (found.old_holds or {}).values() if wanted.items() <= one.items()]
            self._answer(*(200, old) if found.old_holds is not None else (400, {"error": "Malformed query string"}))
        elif address.path == "/api/v1/items":
            self._answer(200, [one for one in found.items.values() if one["external_id"] == asked["external_id"]])
        else:
            item = found.items.get(int(address.path.rsplit("/", 1)[1]))
            self._answer(*(200, item) if item else (404, {"error": "Item not found"}))

    def do_PUT(self) -> None:
        body, parts = json.loads(self._body()), self.path.split("/")
        if self._signed_in():
            self._changes("home", lambda: self._home(int(parts[4]), int(parts[6]), body))

    def do_DELETE(self) -> None:
        number = int(self.path.rsplit("/", 1)[1])
        if self._signed_in():
            self._changes("drop", lambda: self._drop(number))

    def _signed_in(self) -> bool:
        if self.headers.get("authorization") == "Bearer t" and self._known():
            return True
        self._answer(401, {"error": "Authentication failure."})
        return False

    def _hold(self, body: dict[str, Any]) -> tuple[int, Any, str | None]:
        if wrong := [key for key, value in body.items() if not isinstance(value, KOHA_HOLD.get(key, ()))]:
            return (
                400,
                {"errors": [{"message": "Properties not allowed.", "path": f"/body/{key}"} for key in wrong]},
                None,
            )
        if not {"patron_id", "pickup_library_id"} <= body.keys():
            return 400, {"errors": [{"message": "Missing property.", "path": "/body/patron_id"}]}, None
        if body["pickup_library_id"] == "CLOSED":
            return 400, {"error": "The supplied pickup location is not valid"}, None
        number = len(self.server.holds) + 7
        self.server.holds[number] = body | {"hold_id": number}
        return 201, self.server.holds[number], str(body["item_id"])

    def _home(self, biblio: int, number: int, body: dict[str, Any]) -> tuple[int, Any, str | None]:
        item = self.server.items.get(number)
        if not item or item["biblio_id"] != biblio or not body.keys() <= KOHA_ITEM:
            return 404, {"error": "Item not found"}, None
        item.update(body | {"extended_subfields": None})  # as Koha does
        return 200, item, str(number)

    def _drop(self, number: int) -> tuple[int, Any, str | None]:
        gone = self.server.holds.pop(number, None)
        return (204, None, str(number)) if gone else (404, {"error": "Hold not found."}, None)


# --- FOLIO --------------------------------------------------------------------------------------------------------------------


class FolioApi(_Api):
    """Items by id, each with its version; a check-in in the house is told apart from a receipt."""

    def __init__(self) -> None:
        super().__init__(_FolioHandler)
        self.items: dict[str, dict[str, Any]] = {}
        self.points: set[str] = set()

    def item(self, copy: str, barcode: str, location: str, **more: Any) -> None:
        """Add an item."""
        own = {"id": copy, "_version": "1", "barcode": barcode, "holdingsRecordId": str(uuid.uuid4())}
        self.items[copy] = own | {"permanentLocationId": location, "status": {"name": "In transit"}} | more


class _FolioHandler(_Handler):
    def do_POST(self) -> None:
        body = self._body()
        if self.path == "/authn/login-with-expiry":
            right = json.loads(body) == {"username": "us", "password": "x"}
            self._token() if right else None
            self._answer(201 if right else 422, {}, {"x-okapi-token": "t"} if right else None)
        elif self._signed_in() and self.path == "/circulation/check-in-by-barcode":
            self._changes("check_in", lambda: self._check_in(json.loads(body)))

    def do_GET(self) -> None:
        if self._signed_in():
            item = self.server.items.get(self.path.rsplit("/", 1)[1])
            self._answer(*(200, item) if item else (404, None))

    def do_PUT(self) -> None:
        body, copy = json.loads(self._body()), self.path.rsplit("/", 1)[1]
        if self._signed_in():
            self._changes("location", lambda: self._put(copy, body))

    def _signed_in(self) -> bool:
        ours = (self.headers.get("x-okapi-token"), self.headers.get("x-okapi-tenant")) == ("t", "diku")
        if ours and self._known():
            return True
        self._answer(401, {"errors": [{"message": "Invalid token"}]})
        return False

    def _check_in(self, body: dict[str, Any]) -> tuple[int, Any, str | None]:
        item = next((one for one in self.server.items.values() if one["barcode"] == body.get("itemBarcode")), None)
        if not body.keys() <= FOLIO_CHECK_IN or item is None:
            return 422, {"errors": [{"message": f"No item with barcode {body.get('itemBarcode')} exists"}]}, None
        datetime.fromisoformat(body["checkInDate"])
        if body["servicePointId"] not in self.server.points:
            return 422, {"errors": [{"message": "Check In Service Point does not exist"}]}, None
        in_house = item["status"]["name"] == "Available"
        last = {
            "dateTime": datetime.now(UTC).isoformat(),
            "servicePointId": body["servicePointId"],
            "staffMemberId": "s",
        }
        item.update({"lastCheckIn": last, "status": {"name": "Available"}})
        return 200, {"item": {"id": item["id"]}, "inHouseUse": in_house}, item["id"]

    def _put(self, copy: str, body: dict[str, Any]) -> tuple[int, Any, str | None]:
        item = self.server.items[copy]
        if body.get("_version") != item["_version"]:
            return 409, {"message": "Cannot update record because it has been changed (optimistic locking)"}, None
        self.server.items[copy] = body | {"_version": str(int(body["_version"]) + 1)}
        return 204, None, copy


@contextmanager
def served(api: Any) -> Iterator[Any]:
    """Serve with a local server on a thread, one of these or another's, until the end."""
    thread = threading.Thread(target=api.serve_forever, daemon=True)
    thread.start()
    yield api
    api.shutdown()
    api.server_close()
    thread.join()


# --- SIP2 ---------------------------------------------------------------------------------------------------------------------


class Sip2(socketserver.ThreadingTCPServer):
    """A SIP2 server that knows where each item is and is to go."""

    allow_reuse_address = daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Sip2Handler)
        self.items: dict[str, tuple[str, str, str]] = {}
        self.faults: list[str] = []
        self.done: list[tuple[str, str]] = []


class _Sip2Handler(socketserver.StreamRequestHandler):
    server: Sip2

    def handle(self) -> None:
        """Answer until the client leaves."""
        while line := self._line():
            message = sip2.parse(line)
            answer = {sip2.LOGIN: self._login, sip2.ITEM: self._item, sip2.CHECKIN: self._checkin}[message.code](
                message
            )
            if answer is None:
                return
            self.wfile.write(sip2.encode(answer._replace(sequence=message.sequence)))

    def _line(self) -> bytes:
        found = b""
        while not found.endswith(sip2.END):
            byte = self.rfile.read(1)
            if not byte:
                return b""
            found += byte
        return found

    def _login(self, message: sip2.Sip2Message) -> sip2.Sip2Message:
        right = (message.get("CN"), message.get("CO")) == ("us", "x")
        return sip2.Sip2Message(sip2.LOGIN_RESPONSE, "1" if right else "0", ())

    def _item(self, message: sip2.Sip2Message) -> sip2.Sip2Message:
        item = message.get("AB") or ""
        status, at, to = self.server.items.get(item, ("01", "", ""))
        fields = (("AB", item), ("AQ", "HOME" if at else ""), ("AP", at), ("CT", to))
        return sip2.Sip2Message(sip2.ITEM_RESPONSE, f"{status}0001{datetime.now(UTC):%Y%m%dZZZZ%H%M%S}"[:24], fields)

    def _checkin(self, message: sip2.Sip2Message) -> sip2.Sip2Message | None:
        fault = self.server.faults.pop(0) if self.server.faults else None
        item, here = message.get("AB") or "", message.get("AP") or ""
        ok = fault != "refused" and item in self.server.items
        if ok:
            self.server.items[item] = ("03", here, "")
            self.server.done.append(("check_in", item))
        if fault == LOST:
            return None
        header = f"{int(ok)}YNN{datetime.now(UTC):%Y%m%dZZZZ%H%M%S}"
        return sip2.Sip2Message(sip2.CHECKIN_RESPONSE, header, (("AO", "i"), ("AB", item), ("AQ", "HOME")))
