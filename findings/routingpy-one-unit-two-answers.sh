#!/usr/bin/env bash
# routingpy 1.3.0, openrouteservice: with units="km" a route is in metres and a matrix in kilometres.
#
# Guess: `directions(..., units="km")` and `matrix(..., units="km")` tell the same road in the same unit.
# Seen: the service answers 0.84 to both. `directions` turns it into whole metres (840), `matrix` hands it on (0.84). Without `units`
#   both are metres. Distances of a plan that came from the matrix are a thousand times shorter than those of its routes.
# Mend: never give `units`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check routingpy==1.3.0
"$folder/env/bin/python" - <<'PYTHON'
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from routingpy import ORS


class Service(BaseHTTPRequestHandler):
    """Stands in for openrouteservice: one road of 840 m."""

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        long = 0.84 if asked.get("units") == "km" else 840.0
        if "matrix" in self.path:
            answer = {"distances": [[0.0, long], [long, 0.0]], "durations": [[0.0, 96.0], [96.0, 0.0]]}
        else:
            summary = {"distance": long, "duration": 96.0}
            answer = {"routes": [{"summary": summary, "geometry": "_p~iF~ps|U_ulLnnqC", "segments": []}]}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass


server = HTTPServer(("127.0.0.1", 0), Service)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = ORS(api_key="none", base_url=f"http://127.0.0.1:{server.server_port}")
road = [[121.40, 31.20], [121.41, 31.20]]
for options, seen in (({}, (840, 840.0)), ({"units": "km"}, (840, 0.84))):
    route = client.directions(road, profile="driving-car", format="json", **options)
    matrix = client.matrix(road, profile="driving-car", metrics=["distance", "duration"], **options)
    print(options, "route:", route.distance, "matrix:", matrix.distances[0][1])
    assert (route.distance, matrix.distances[0][1]) == seen
PYTHON
