"""The delay of check-in responses through the SIP2 proxy beside the library system's own: JSON lines, milliseconds."""

import asyncio
import contextlib
import json
import logging
import sys
from time import perf_counter

from rotation.feeds import sip2
from rotation.feeds.sip2 import Placed, Proxy

CHECKINS = int(sys.argv[1]) if len(sys.argv) > 1 else 500
REQUEST = b"09N20100623    16573120100623    165731APBR2|AOBR1|AB1565921879|AC|\r"
RESPONSE = b"101YNN20100623    165731AOBR1|AB1565921879|AQBR1|CTBR3|CV04|\r"


async def system(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers each check-in at once."""
    with contextlib.suppress(asyncio.IncompleteReadError):
        while await reader.readuntil(b"\r"):
            writer.write(RESPONSE)
    writer.close()


async def silent(item: str, location: str) -> Placed | None:
    """Placement that never answers."""
    await asyncio.sleep(60)
    return None


async def quick(item: str, location: str) -> Placed | None:
    """Placement that answers within its own 50 ms."""
    await asyncio.sleep(0.05)
    return Placed("BR7", "12")


async def delays_ms(port: int) -> list[float]:
    """Check in `times` copies and return how long each answer took."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    found = []
    for _ in range(CHECKINS):
        begin = perf_counter()
        writer.write(REQUEST)
        await reader.readuntil(b"\r")
        found.append((perf_counter() - begin) * 1000)
    writer.close()
    return sorted(found)


async def main() -> None:
    """Measure directly, and through the proxy with placement silent and with placement quick."""
    logging.disable()  # a warning for each silence would be most of the output
    sip2.SILENCES = 10**9  # every check-in waits: the worst case, without the rest that follows three silences
    server = await asyncio.start_server(system, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    own = await delays_ms(port)
    for name, ask in (("silent", silent), ("quick", quick)):
        through = await Proxy("127.0.0.1", port, ask).serve("127.0.0.1", 0)
        found = await delays_ms(through.sockets[0].getsockname()[1])
        added = {f"p{share}_ms": round(found[len(found) * share // 100] - own[len(own) // 2], 1) for share in (50, 99)}
        print(json.dumps({"figure": f"sip2 proxy, placement {name}", "checkins": CHECKINS, **added}))


asyncio.run(main())
