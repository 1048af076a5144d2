"""The proxy as a process: from its addresses and map to its answers."""

import json
from collections.abc import Callable
from pathlib import Path

import httpx

from rotation.feeds.sip2.mapping import asking, read_map
from rotation.feeds.sip2.proxy import Proxy

Say = Callable[[str], None]


def host_port(address: str) -> tuple[str, int]:
    """Read host:port; raises ValueError for anything else."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal():
        raise ValueError(f"expected host:port, got {address!r}")
    return host, int(port)


async def serve_sip2(
    listen: str, system: str, map_path: Path, page: str, token: str, say: Say, show: Say | None = None
) -> None:
    """Serve the proxy until the process is stopped; with `show` it prints the changes it would make, and changes nothing.

    Raises
    ------
    ValueError
        When an address or the map is invalid.
    """
    chosen = read_map(map_path)
    async with httpx.AsyncClient(base_url=page, headers={"authorization": f"Bearer {token}"}, timeout=1.0) as desk:
        ask = asking(desk, chosen)
        shown = (lambda change: show(json.dumps(change._asdict(), ensure_ascii=False))) if show else None
        proxy = Proxy(*host_port(system), ask, chosen.default_location, shown, encoding=chosen.encoding)
        server = await proxy.serve(*host_port(listen))
        say(f"SIP2 proxy on {listen}, library system {system}")
        async with server:
            await server.serve_forever()
