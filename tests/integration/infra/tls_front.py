"""TLS before a PostgreSQL that was built without it, as PostgreSQL itself would do it: so clients' TLS settings are tried.

A client asks for TLS by eight bytes, is answered `S`, and speaks TLS from then on; one that does not ask is sent away.
"""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

SSL_REQUEST = bytes([0, 0, 0, 8, 4, 210, 22, 47])  # length 8, code 80877103
BLOCK = 1 << 16


@contextmanager
def tls_front(port: int, certificate: Path, key: Path) -> Iterator[int]:
    """Listen on a free port of 127.0.0.1 while the context lasts, and pass everything on to `port`; yield the free one."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as door:
        threading.Thread(target=_serve, args=(door, port, context), daemon=True).start()
        yield door.getsockname()[1]


def _serve(door: socket.socket, port: int, context: ssl.SSLContext) -> None:
    with suppress(OSError):  # the door is closed
        while True:
            client, _ = door.accept()
            threading.Thread(target=_let_in, args=(client, port, context), daemon=True).start()


def _let_in(client: socket.socket, port: int, context: ssl.SSLContext) -> None:
    with suppress(OSError), closing(client):
        if client.recv(len(SSL_REQUEST)) != SSL_REQUEST:
            return
        client.sendall(b"S")
        with (
            context.wrap_socket(client, server_side=True) as inside,
            socket.create_connection(("127.0.0.1", port)) as server,
        ):
            back = threading.Thread(target=_pass_on, args=(server, inside), daemon=True)
            back.start()
            _pass_on(inside, server)
            back.join()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while block := source.recv(BLOCK):
            target.sendall(block)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)
