#!/usr/bin/env bash
# kafka-python 3.0.12: `max_block_ms` does not bound how long a producer takes to be made.
#
# Guess: `KafkaProducer(max_block_ms=500)` with a broker that is away raises within about half a second.
# Seen: it takes `bootstrap_timeout_ms` (30 s): `max_block_ms` begins to count at `send()`. A page that makes its producer at the
#   first request keeps that request for half a minute.
# Mend: set `bootstrap_timeout_ms` too.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check kafka-python==3.0.12
"$folder/env/bin/python" - <<'PYTHON'
import logging
import socket
import time

from kafka import KafkaProducer

logging.disable(logging.CRITICAL)
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    away = f"127.0.0.1:{free.getsockname()[1]}"


def seconds(**more):
    begin = time.monotonic()
    try:
        KafkaProducer(bootstrap_servers=away, max_block_ms=500, **more)
    except Exception as error:
        print(type(error).__name__, end=" ")
    return time.monotonic() - begin


whole = seconds()
print(f"after {whole:.1f} s with max_block_ms=500")
bounded = seconds(bootstrap_timeout_ms=500)
print(f"after {bounded:.1f} s with bootstrap_timeout_ms=500 too")
assert whole > 20 and bounded < 5
PYTHON
