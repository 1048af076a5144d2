"""A simulated FOLIO with FOLIO's faults: it knows where its items are, tells it on topics that lose, double and disorder, and has
a REST API that tells the truth. Readers, staff and tokens stand wherever FOLIO puts them.
"""

import json
import random
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from kafka import KafkaAdminClient, KafkaProducer

from rotation.feeds.folio import FolioMap
from rotation.kafka import admin
from rotation.kafka.topics import Topic
from tests.streams_world import PLACES
from tests.unit.adapters.patron import CARD, NAME, PATRON_ID

START = datetime(2026, 3, 2, 8, tzinfo=UTC)
ZERO = "00000000-0000-0000-0000-000000000000"
TOKEN = "eyJhbGciOiJIUzI1NiJ9.secret-okapi-token"
SERVICE_POINT = {place: f"sp-{place}" for place in PLACES}
LOCATION = {place: f"loc-{place}" for place in PLACES}
MAP = FolioMap(
    tenant="diku",
    service_points={point: place for place, point in SERVICE_POINT.items()} | {"sp-online": "-"},
    locations={location: place for place, location in LOCATION.items()} | {"loc-online": "-"},
    default_class="fiction",
)


class Told(NamedTuple):
    """One message as FOLIO publishes it."""

    name: str  # circulation.loan ...
    key: str
    value: bytes
    headers: list[tuple[str, bytes]]


class Folio:
    """Items that are lent, come back anywhere and are sent home; `told` is what reached Kafka."""

    def __init__(self, seed: int, items: int = 30, lost: float = 0.1, double: float = 0.1) -> None:
        self.draw, self.lost, self.double = random.Random(seed), lost, double
        self.at, self.items, self.told = START, dict[str, dict[str, Any]](), list[Told]()
        for number in range(items):
            self.added(number)

    def added(self, number: int) -> None:
        """An item enters the stock; inventory's own publishing loses nothing at first."""
        place = PLACES[number % len(PLACES)]
        item = {
            "id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"item-{number}")),
            "holdingsRecordId": f"holding-{number // 2}",
            "instanceId": f"instance-{number // 2}",
            "barcode": f"{number:06}",
            "status": self._status("Available"),
            "permanentLocationId": LOCATION[place],
            "effectiveLocationId": LOCATION[place],
            "circulationNotes": [{"note": NAME, "source": {"id": PATRON_ID, "personal": {"lastName": NAME}}}],
        }
        self.items[item["id"]] = item
        self._inventory("CREATE", None, item)

    def days(self, steps: int) -> None:
        """Lend, return, receive, lose and find at random."""
        for _ in range(steps):
            self.at += timedelta(minutes=self.draw.randrange(7, 90))
            item = self.items[self.draw.choice(sorted(self.items))]
            status = item["status"]["name"]
            if status in ("Available", "Awaiting pickup"):
                self.lend(item) if self.draw.random() < 0.9 else self.change(item, "Missing")
            elif status == "Missing":
                self.change(item, "Available")
            else:
                point = item.get("inTransitDestinationServicePointId") or SERVICE_POINT[self.draw.choice(PLACES)]
                self.check_in(item, point)

    def lend(self, item: dict[str, Any]) -> None:
        """A loan, and the item's own word of it."""
        loan = {
            "id": str(uuid.UUID(int=self.draw.getrandbits(128))),
            "userId": PATRON_ID,
            "proxyUserId": PATRON_ID,
            "actionComment": NAME,
            "itemId": item["id"],
            "itemEffectiveLocationIdAtCheckOut": item["effectiveLocationId"],
            "loanDate": self.at.isoformat(),
            "action": "checkedout",
            "checkoutServicePointId": "sp-p0",
        }
        self._circulation("loan", "CREATED", None, loan)
        self.change(item, "Checked out")
        if self.draw.random() < 0.2:
            self._circulation("loan", "UPDATED", loan, loan | {"action": "renewed"})

    def check_in(self, item: dict[str, Any], point: str) -> None:
        """A check-in at any service point: home, it is available; elsewhere, it is on its way. Logged after the item moved."""
        before, home = item["status"]["name"], item["effectiveLocationId"]
        at_home = MAP.service_points[point] == MAP.locations[home]
        found = {
            "lastCheckIn": {"dateTime": self.at.isoformat(), "servicePointId": point, "staffMemberId": PATRON_ID},
            "inTransitDestinationServicePointId": None if at_home else SERVICE_POINT[MAP.locations[home]],
        }
        self.change(item, "Available" if at_home else "In transit", **found)
        logged = {
            "id": str(uuid.UUID(int=self.draw.getrandbits(128))),
            "occurredDateTime": (self.at + timedelta(milliseconds=self.draw.randrange(50, 900))).isoformat(),
            "itemId": item["id"],
            "itemStatusPriorToCheckIn": before,
            "servicePointId": point,
            "performedByUserId": PATRON_ID,
        }
        self._circulation("check-in", "CREATED", None, logged)

    def request(self, item: dict[str, Any], status: str, number: int) -> None:
        """A reader's request, with the reader in it."""
        hold = {
            "id": f"request-{number}",
            "instanceId": item["instanceId"],
            "itemId": item["id"],
            "status": status,
            "requesterId": PATRON_ID,
            "requester": {"barcode": CARD, "lastName": NAME},
            "pickupServicePointId": "sp-p2",
        }
        old = None if status == "Open - Not yet filled" else hold | {"status": "Open - Not yet filled"}
        self._circulation("request", "UPDATED" if old else "CREATED", old, hold)

    def change(self, item: dict[str, Any], status: str, **more: Any) -> None:
        """Another status, told on the item's topic; these messages double, and may be lost too."""
        old = dict(item)
        item.update(more | {"status": self._status(status)})
        self._inventory("UPDATE", old, dict(item))

    def deleted(self, item: dict[str, Any]) -> None:
        """The raw DELETE event, which bears neither id nor time."""
        del self.items[item["id"]]
        body = {"type": "DELETE", "tenant": "diku", "old": item}
        self._publish("inventory.item", item["id"], body, keep=True)

    def _status(self, name: str) -> dict[str, str]:
        return {"name": name, "date": self.at.isoformat()}

    def _inventory(self, kind: str, old: Any, new: Any) -> None:
        at_ms = int(self.at.timestamp() * 1000) + 120
        body = {
            "eventId": str(uuid.UUID(int=self.draw.getrandbits(128))),
            "eventTs": at_ms,
            "type": kind,
            "tenant": "diku",
        }
        self._publish("inventory.item", new["id"], body | {"old": old, "new": new}, keep=kind == "CREATE")

    def _circulation(self, name: str, kind: str, old: Any, new: Any) -> None:
        body = {"id": str(uuid.UUID(int=self.draw.getrandbits(128))), "type": kind, "tenant": "diku"}
        at_ms = int(self.at.timestamp() * 1000)
        self._publish(f"circulation.{name}", new["id"], body | {"timestamp": at_ms, "data": {"old": old, "new": new}})

    def _publish(self, name: str, key: str, body: dict[str, Any], keep: bool = False) -> None:
        headers = [
            ("folio.tenantId", b"diku"),
            ("X-Okapi-Token", TOKEN.encode()),
            ("X-Okapi-User-Id", PATRON_ID.encode()),
        ]
        one = Told(name, key, json.dumps(body).encode(), headers if self.draw.random() < 0.7 else headers[1:])
        if keep or self.draw.random() >= self.lost:
            self.told += [one] * (2 if self.draw.random() < self.double else 1)

    def disordered(self, begin: int = 0) -> list[Told]:
        """What was told from the message `begin` on, each topic in its order, the topics against each other in none."""
        late = {name: self.draw.uniform(0, 60) for name in sorted({one.name for one in self.told})}
        keyed = [(number + late[one.name], one) for number, one in enumerate(self.told[begin:])]
        return [one for _, one in sorted(keyed, key=lambda pair: pair[0])]

    def truth(self) -> dict[str, tuple[str, str, str | None]]:
        """Where each item really is: state, place, destination."""
        found = {}
        for item in self.items.values():
            status, home = item["status"]["name"], MAP.locations[item["effectiveLocationId"]]
            if status == "In transit":
                at = MAP.service_points[item["lastCheckIn"]["servicePointId"]]
                found[item["id"]] = ("in_transit", at, MAP.service_points[item["inTransitDestinationServicePointId"]])
            else:
                state = {"Available": "on_shelf", "Checked out": "on_loan", "Missing": "missing"}[status]
                found[item["id"]] = (state, home, None)
        return found


NAMES = ("circulation.loan", "circulation.check-in", "circulation.request", "inventory.item")


class Publication:
    """FOLIO's topics on a Kafka, and how much of what FOLIO told is on them."""

    def __init__(self, kafka: str) -> None:
        self.kafka, self.sent = kafka, 0
        prefix = f"folio.diku{uuid.uuid4().hex[:6]}"
        self.topics = {name: f"{prefix}.{name}" for name in NAMES}
        made = [Topic(topic, "", 3, -1, False, (), (), "") for topic in self.topics.values()]
        admin.create({"bootstrap_servers": kafka.split(",")}, topics=made)

    def send(self, folio: Folio) -> None:
        """Publish what is new since the last time, each topic in its order."""
        producer = KafkaProducer(bootstrap_servers=self.kafka, compression_type="gzip")
        for one in folio.disordered(self.sent):
            producer.send(self.topics[one.name], one.value, key=one.key.encode(), headers=one.headers)
        producer.close()
        self.sent = len(folio.told)


@contextmanager
def published(folio: Folio, kafka: str) -> Iterator[None]:
    """Publish what FOLIO told to topics of its own, which go afterwards."""
    publication = Publication(kafka)
    publication.send(folio)
    yield
    remover = KafkaAdminClient(bootstrap_servers=kafka.split(","))
    remover.delete_topics(list(publication.topics.values()))
    remover.close()


@contextmanager
def rest(folio: Folio, answers_a_token: int = 10**9, *, names: bool = True) -> Iterator[str]:
    """Serve the API's items, holdings and (where `names` may be read) instances, to those who signed in; yield its address.

    A token ends after so many answers.
    """
    left = [0]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            left[0] = answers_a_token
            self._answer(201 if self.path == "/authn/login" else 404, {}, [("x-okapi-token", TOKEN)])

        def do_GET(self) -> None:
            address = urlsplit(self.path)
            query = parse_qs(address.query)
            left[0] -= 1
            signed_in = self.headers.get("x-okapi-token") == TOKEN and left[0] >= 0
            if not signed_in or self.headers.get("x-okapi-tenant") != "diku":
                self._answer(401, {})
            elif address.path == "/instance-storage/instances" and not names:
                self._answer(403, {})
            else:
                self._answer(200, _found(folio, address.path, query))

        def _answer(self, status: int, body: Any, headers: list[tuple[str, str]] = []) -> None:  # noqa: B006
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


AUTHORS = [{"name": "Illustrator"}, {"name": "Ende, Michael", "primary": True}]


def _found(folio: Folio, path: str, query: dict[str, list[str]]) -> dict[str, Any]:
    asked = query["query"][0]
    if path == "/instance-storage/instances":
        wanted = [{"id": f"instance-{n}", "title": f"Title {n} /", "contributors": AUTHORS} for n in range(1000)]
        return {"instances": [one for one in wanted if f'"{one["id"]}"' in asked]}
    if path != "/item-storage/items":
        wanted = [{"id": f"holding-{n}", "instanceId": f"instance-{n}"} for n in range(1000)]
        return {"holdingsRecords": [one for one in wanted if f'"{one["id"]}"' in asked]}
    if "id==(" in asked:
        return {"items": [item for item in folio.items.values() if f'"{item["id"]}"' in asked]}
    return {"items": _after(folio, query)}


def _after(folio: Folio, query: dict[str, list[str]]) -> list[dict[str, Any]]:
    last = query["query"][0].split('"')[1]
    found = [
        {k: v for k, v in item.items() if k != "instanceId"}
        for _, item in sorted(folio.items.items())
        if item["id"] > last
    ]
    return found[: int(query["limit"][0])]
