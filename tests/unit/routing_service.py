"""A local routing service that answers as OSRM and Valhalla were recorded to, over ways that can be reckoned by hand."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from solver import routing_service


class Service(BaseHTTPRequestHandler):
    """Answers in the manner of OSRM and Valhalla; `trouble` says how the next requests fail."""

    trouble: ClassVar[list[str]] = []
    asked: ClassVar[list[str]] = []  # of tables
    moved: ClassVar[dict[Any, float]] = {}  # metres from a point to its road

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        places = urlsplit(self.path).path.rsplit("/", 1)[1].split(";")
        points = [tuple(map(float, place.split(",")))[::-1] for place in places]
        if "/table/" in self.path:
            rows, columns = (
                [points[int(at)] for at in query[name][0].split(";")] for name in ("sources", "destinations")
            )
            metres, seconds = self.ways(rows, columns)
            self.answer({"code": "Ok", "distances": metres, "durations": seconds})
        elif "/nearest/" in self.path:
            self.answer({"code": "Ok", "waypoints": [{"distance": self.moved.get(points[0], 0)}]}, counted=False)
        else:
            self.answer({"code": "NoRoute"}, counted=False)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path.endswith("/locate"):
            self.answer([{"edges": [{"distance": 0}]} for _ in body["locations"]], counted=False)
            return
        rows, columns = ([(one["lat"], one["lon"]) for one in body[name]] for name in ("sources", "targets"))
        metres, seconds = self.ways(rows, columns)
        cells = [
            [{"distance": way and way / 1000, "time": time} for way, time in zip(*row, strict=True)]
            for row in zip(metres, seconds, strict=True)
        ]
        self.answer({"sources_to_targets": cells})

    def ways(self, rows: list[Any], columns: list[Any]) -> tuple[list[Any], list[Any]]:
        away = np.abs(np.array(rows)[:, None] - np.array(columns)[None]).sum(axis=2)
        metres, seconds = (away * 100_000).tolist(), (away * 9_000.5).tolist()
        if self.trouble and self.trouble[0] == "island":
            metres[0][-1] = seconds[0][-1] = None
        return metres, seconds

    def answer(self, value: Any, *, counted: bool = True) -> None:
        if counted:
            Service.asked.append(self.path)
        trouble = self.trouble.pop(0) if self.trouble and counted else ""
        bodies = {"no json": b"<html>", "no table": b'{"code": "NoTable", "message": "too large"}', "list": b"[1]"}
        self.send_response(503 if trouble == "busy" else 200)
        self.end_headers()
        if trouble == "silent":
            threading.Event().wait(0.6)
        self.wfile.write(bodies.get(trouble, json.dumps(value).encode()))

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serving(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Yield its address."""
    monkeypatch.setattr(routing_service, "PAUSE_S", 0.01)
    Service.trouble, Service.asked, Service.moved = [], [], {}
    server = HTTPServer(("127.0.0.1", 0), Service)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
