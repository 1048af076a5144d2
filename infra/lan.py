"""`rotation run --lan`: the page over HTTPS on the local network, for phones: their camera and service worker need it.

The certificate is our own, so that a phone asks once whether it may trust it. Key and certificate stay in the data folder
while the address does.
"""

import ipaddress
import socket
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import segno
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

FAR_AWAY = ("192.0.2.1", 9)  # RFC 5737: of nobody; to look up the way there sends nothing
VALID = timedelta(days=397)  # the longest that phones take
RENEWED_BEFORE = timedelta(days=30)
QUIET = 2  # modules of white around a code; a terminal has more beside it


class NoNetwork(ValueError):
    """This machine has no address on a local network."""


def lan_host() -> str:
    """Return this machine's address on its local network.

    Raises
    ------
    NoNetwork
        When there is none.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as looking:
        try:
            looking.connect(FAR_AWAY)
        except OSError as error:
            raise NoNetwork(f"this machine is on no network that phones could reach: {error}") from error
        found = str(looking.getsockname()[0])
    if ipaddress.ip_address(found).is_loopback:
        raise NoNetwork("this machine is on no network that phones could reach: its only address is its own")
    return found


def certificate(folder: Path, host: str) -> tuple[Path, Path]:
    """Return the files of certificate and key for an address, made where there are none that fit."""
    cert, key = folder / "lan-certificate.pem", folder / "lan-key.pem"
    if not (cert.exists() and key.exists() and _fits(cert, host)):
        folder.mkdir(parents=True, exist_ok=True)
        _make(cert, key, host)
    return cert, key


def _fits(cert: Path, host: str) -> bool:
    try:
        kept = x509.load_pem_x509_certificate(cert.read_bytes())
        names = kept.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound):
        return False
    hosts = names.get_values_for_type(x509.IPAddress)
    return ipaddress.ip_address(host) in hosts and kept.not_valid_after_utc - datetime.now(UTC) > RENEWED_BEFORE


def _make(cert: Path, key: Path, host: str) -> None:
    private, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Rotation on {host}")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + VALID)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(private, hashes.SHA256())
    )
    key.unlink(missing_ok=True)
    key.touch(mode=0o600)
    encoded = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    key.write_bytes(private.private_bytes(*encoded))
    cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))


def qr_lines(address: str) -> str:
    """Return an address as a QR code of text, two modules a sign, light on dark as terminals are."""
    rows = [
        [bool(module) for module in row]
        for row in segno.make(address, error="l", micro=False).matrix_iter(border=QUIET)
    ]
    rows += [[False] * len(rows[0])] * (len(rows) % 2)
    signs = {(False, False): "█", (False, True): "▀", (True, False): "▄", (True, True): " "}
    pairs = zip(rows[::2], rows[1::2], strict=True)
    return "\n".join("".join(signs[above, below] for above, below in zip(*pair, strict=True)) for pair in pairs)


def lan_lines(environment: Mapping[str, str]) -> list[str]:
    """Return the terminal's lines about the page on the local network: its address and its code; none without such a page."""
    if "ROTATION_LAN_HOST" not in environment:
        return []
    address = f"https://{environment['ROTATION_LAN_HOST']}:{environment['ROTATION_LAN_PORT']}"
    said = (
        f"For phones on this network / 本网内手机: {address} (own certificate: accept it once / 自签证书，请确认一次)"
    )
    return [said, f"\n{qr_lines(address)}"]
