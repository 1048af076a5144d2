#!/usr/bin/env bash
# routingpy 1.3.0, Valhalla: with units="mi" a mile is 621 metres, with units="miles" 1,000.
#
# Guess: `distance` is in metres whatever the units, as its documentation says; Valhalla knows both words for a mile.
# Seen: kilometres are turned into metres; a mile is divided by 1.609 where it should be multiplied, and under Valhalla's own word
#   "miles" it is taken for a kilometre. A road of 1,609 m has 621 m or 1,000 m, in routes and (for "mi") in matrices.
# Mend: never give `units`; kilometres are right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check routingpy==1.3.0
"$folder/env/bin/python" - <<'PYTHON'
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from routingpy import Valhalla


class Service(BaseHTTPRequestHandler):
    """Stands in for Valhalla: one road of a mile, in the unit that was asked for."""

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        units = asked.get("directions_options", asked).get("units", "kilometers")
        long = 1.0 if units.startswith("mi") else 1.609
        summary = {"length": long, "time": 96.0}
        leg = {"summary": summary, "shape": "_izlhA~rlgdF_{geC~ywl@"}
        units = "miles" if units.startswith("mi") else "kilometers"
        body = json.dumps({"trip": {"legs": [leg], "summary": summary, "units": units}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass


server = HTTPServer(("127.0.0.1", 0), Service)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = Valhalla(base_url=f"http://127.0.0.1:{server.server_port}")
road = [[121.40, 31.20], [121.41, 31.20]]
for options, seen in (({}, 1609), ({"units": "mi"}, 621), ({"units": "miles"}, 1000)):
    route = client.directions(road, profile="auto", **options)
    print(options, "metres:", route.distance)
    assert route.distance == seen
PYTHON
