"""Our own ports: remembered in the server's folder, so that addresses stay until another program takes them."""

import json
import random
import socket
from pathlib import Path

import psutil

from infra.messages import ServerError, ServerMessage, Tell

HOST = "127.0.0.1"
FIRST, LAST = 20000, 29999  # below the ports that systems lend to outgoing connections (32768 and up on Linux)
TRIES = 200


def choose(memory: Path, name: str, roles: list[str], fixed: dict[str, int], tell: Tell) -> dict[str, int]:
    """Return a free port for each role: the fixed port, else the remembered port, else a new port; remember them.

    Raises
    ------
    ServerError
        port.taken where a fixed port is in use, port.none where all seem to be.
    """
    before: dict[str, int] = json.loads(memory.read_text()) if memory.exists() else {}
    ports: dict[str, int] = {}
    for role in roles:
        ports[role] = _one(name, fixed.get(role), before.get(role), set(ports.values()), tell)
    memory.write_text(json.dumps(ports))
    return ports


def _one(name: str, fixed: int | None, before: int | None, ours: set[int], tell: Tell) -> int:
    if fixed:
        if not free(fixed):
            raise ServerError("port.taken", name=name, port=fixed, owner=owner(fixed))
        return fixed
    if before and free(before):
        return before
    new = new_port(name, ours)
    if before:
        tell(ServerMessage("port.moved", {"name": name, "old": before, "new": new}))
    return new


def new_port(name: str, ours: set[int]) -> int:
    """Return a free port that is not in `ours`."""
    for port in random.sample(range(FIRST, LAST + 1), TRIES):
        if port not in ours and free(port):
            return port
    raise ServerError("port.none", name=name, first=FIRST, last=LAST)


def free(port: int) -> bool:
    """Return whether a server could listen on `port` of this machine now."""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((HOST, port))
        except OSError:
            return False
    return True


def listening(pid: int) -> set[int]:
    """Return the ports that the process listens on."""
    try:
        connections = psutil.Process(pid).net_connections("tcp")
    except psutil.Error:
        return set()
    return {connection.laddr.port for connection in connections if connection.status == psutil.CONN_LISTEN}


def owner(port: int) -> str:
    """Return who listens on `port`, as far as we may know."""
    try:
        found = [c.pid for c in psutil.net_connections("tcp") if c.laddr and c.laddr.port == port and c.pid]
        return f"{psutil.Process(found[0]).name()} ({found[0]})"
    except (psutil.Error, IndexError):
        return "another program"
