"""The page over HTTPS on the local network: with its own certificate, beside the plain page, ended by one signal."""

import os
import signal
import ssl
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
import segno
import zxingcpp
from cryptography import x509
from PIL import Image

from infra import lan
from infra.ports import HOST, new_port
from tests.needs import REPOSITORY

START_S = 60.0


def test_a_certificate_is_for_its_address_and_made_anew_for_another(tmp_path: Path) -> None:
    cert, key = lan.certificate(tmp_path, "192.168.7.5")
    first = cert.read_bytes()
    assert lan.certificate(tmp_path, "192.168.7.5") == (cert, key)
    assert cert.read_bytes() == first
    assert key.stat().st_mode & 0o077 == 0
    lan.certificate(tmp_path, "192.168.7.6")
    names = x509.load_pem_x509_certificate(cert.read_bytes()).extensions
    found = names.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.IPAddress)
    assert [str(one) for one in found] == ["192.168.7.6"]
    cert.write_bytes(b"broken")
    lan.certificate(tmp_path, "192.168.7.6")
    x509.load_pem_x509_certificate(cert.read_bytes())


def test_the_terminals_code_is_read_as_the_address() -> None:
    address = "https://192.168.7.5:8766"
    lines = lan.qr_lines(address).split("\n")
    dark = {"█": (0, 0), "▀": (0, 1), "▄": (1, 0), " ": (1, 1)}
    rows = [[dark[sign][half] for sign in line] for line in lines for half in (0, 1)]
    assert len(rows[0]) == segno.make(address, error="l", micro=False).symbol_size(border=lan.QUIET)[0]
    image = Image.new("L", (len(rows[0]), len(rows)))
    image.putdata([0 if module else 255 for row in rows for module in row])
    larger = image.resize((image.width * 8, image.height * 8), Image.Resampling.NEAREST)
    assert [code.text for code in zxingcpp.read_barcodes(larger)] == [address]


def test_a_machine_without_a_network_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lan, "FAR_AWAY", ("127.0.0.1", 9))
    with pytest.raises(lan.NoNetwork, match="on no network"):
        lan.lan_host()


def test_the_page_answers_on_both_addresses_and_one_signal_ends_both(database: str, tmp_path: Path) -> None:
    ports = new_port("page", set()), new_port("lan", set())
    environment = os.environ | {
        "DATABASE_URL": database,
        "KAFKA_BOOTSTRAP": f"{HOST}:{new_port('kafka', set())}",
        "ROTATION_DATA_DIR": str(tmp_path),
        "ROTATION_WEB_PORT": str(ports[0]),
        "ROTATION_LAN_HOST": HOST,
        "ROTATION_LAN_PORT": str(ports[1]),
    }
    process = subprocess.Popen([sys.executable, "-m", "rotation.web"], cwd=REPOSITORY, env=environment)
    try:
        trusted = _answers(f"http://{HOST}:{ports[0]}/sign-in", ssl.create_default_context())
        assert trusted == 200
        own = ssl.create_default_context(cafile=tmp_path / "lan-certificate.pem")
        assert _answers(f"https://{HOST}:{ports[1]}/sign-in", own) == 200
        with pytest.raises(httpx.ConnectError, match="certificate"):
            httpx.get(f"https://{HOST}:{ports[1]}/sign-in", trust_env=False)
        process.send_signal(signal.SIGTERM)
        process.wait(20)
    finally:
        process.kill()
        process.wait()


def _answers(address: str, context: ssl.SSLContext) -> int:
    end = time.monotonic() + START_S
    while True:
        try:
            return httpx.get(address, verify=context, trust_env=False).status_code
        except httpx.ConnectError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)
