#!/usr/bin/env bash
# cloudevents 2.2.0, the official SDK: an event in binary mode is sent without Content-Type.
#
# Guess: `to_binary` says application/json, since it writes the data as JSON: in binary mode Content-Type is the attribute
#   `datacontenttype` (CloudEvents HTTP binding 1.0.2, 3.1.1), and `to_structured` does set its own.
# Seen: the headers hold ce-* alone unless the sender gave `datacontenttype` itself. A server that picks the reader of a body by
#   its Content-Type answers 415 to the SDK's own example, or has to take a body without a type for JSON.
# Mend: the sender gives the attribute; a receiver takes ce-* headers without a Content-Type for JSON.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check cloudevents==2.2.0
"$folder/env/bin/python" -W ignore - <<'PYTHON'
from cloudevents.v1.http import CloudEvent, to_binary, to_structured

attributes = {"type": "copy.returned", "source": "example", "id": "1", "time": "2026-03-02T08:00:00Z"}
event = CloudEvent(attributes, {"copy": "B0001"})
binary, body = to_binary(event)
structured, _ = to_structured(event)
told, _ = to_binary(CloudEvent(attributes | {"datacontenttype": "application/json"}, {"copy": "B0001"}))
print("binary:", sorted(binary), body)
print("structured:", structured)
print("binary, told:", sorted(told))
assert body == b'{"copy": "B0001"}'
assert not [name for name in binary if "content" in name.lower()]
assert [value for name, value in structured.items() if name.lower() == "content-type"] == ["application/cloudevents+json"]
PYTHON
