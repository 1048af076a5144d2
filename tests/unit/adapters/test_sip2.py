"""SIP2: the standard's own examples, damaged messages, and the proxy's changes to responses."""

import asyncio
import logging
import socket
import threading
import time
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rotation.feeds import sip2
from rotation.feeds.sip2 import Broken, Client, Placed, Proxy, Sip2Message, encode, parse
from rotation.feeds.sip2.proxy import _note_location
from tests.unit.adapters import patron

RESPONSE = b"101YNN20100623    165731AOBR1|AB1565921879|AQBR1|AJA Book|CTBR3|CV04|\r"
FOR_A_HOLD = b"101YNY20100623    165731AOBR1|AB1565921879|AQBR1|AJA Book|CTBR3|CY373827|DAJane Doe|CV02|\r"
REFUSED = b"100NNN20100623    165731AOBR1|AB1565921879|AQBR1|\r"
REQUEST = b"09N20100623    16573120100623    165731APBR2|AOBR1|AB1565921879|AC|\r"
PATRON = "Zhang-Xiaoming-7001"
PATRON_REQUEST = f"2300120100623    165731AOBR1|AA{PATRON}|AC|AD{PATRON}|\r".encode()


def test_the_checksum_is_that_of_the_standards_own_example():
    # 3M SIP2 2.00, error detection: "9900302.00AY1AZFCA5"
    assert sip2.checksum(b"9900302.00AY1AZ") == "FCA5"


def test_a_message_is_read_and_written_alike():
    assert encode(parse(RESPONSE)) == RESPONSE


def test_a_wrong_checksum_is_told():
    with pytest.raises(Broken):
        parse(b"9900302.00AY1AZFCA6\r")


def test_a_message_cut_short_is_told():
    with pytest.raises(Broken):
        parse(b"101YN\r")


@given(st.binary(max_size=200))
@settings(max_examples=150, deadline=None)
def test_no_bytes_do_more_than_be_refused(line: bytes):
    try:
        message = parse(line)
    except Broken:
        return
    encode(message)


# --- Chinese ------------------------------------------------------------------------------------------------------------------


def in_words(encoding: str, text: str, sequence: str | None = "4") -> bytes:
    message = Sip2Message(
        "09", "N" + "20100623    165731" * 2, (("AP", text), ("AB", "1565921879"), ("AC", "")), sequence
    )
    return encode(message, encoding)


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "big5"])
def test_a_character_whose_byte_looks_like_the_separator_stays_whole(encoding: str):
    words = "".join(chr(code) for code in range(0x4E00, 0x9FA5) if _has_a_bar(chr(code), encoding))[:40] + "流通"
    assert parse(in_words(encoding, words), encoding).get("AP") == words
    assert parse(in_words(encoding, words), encoding).sequence == "4"


def _has_a_bar(character: str, encoding: str) -> bool:
    try:
        return b"|" in character.encode(encoding)
    except UnicodeEncodeError:
        return False


@given(st.binary(max_size=200), st.sampled_from(["utf-8", "gb18030", "big5"]))
@settings(max_examples=150, deadline=None)
def test_no_bytes_of_a_coding_do_more_than_be_refused(line: bytes, encoding: str):
    try:
        encode(parse(line, encoding), encoding)
    except Broken:
        return


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
async def test_a_check_in_in_chinese_is_directed_in_the_same_coding_with_a_right_checksum(encoding: str):
    asked = []

    async def ask(item: str, location: str) -> Placed | None:
        asked.append((item, location))
        return Placed("湖滨分馆", "12")

    proxy, locations = Proxy("", 0, ask, encoding=encoding), dict[str, str]()
    _note_location(in_words(encoding, "流通库"), locations, encoding)
    response = encode(parse(RESPONSE)._replace(sequence="4"), encoding)
    changed = await proxy.answer(response, locations)
    assert asked == [("1565921879", "流通库")]
    assert parse(changed, encoding).get("CT") == "湖滨分馆"


async def test_what_the_coding_has_not_is_never_sent_as_something_else():
    async def ask(item: str, location: str) -> Placed | None:
        return Placed("湖滨分馆", None)

    assert await Proxy("", 0, ask, "BR2").answer(RESPONSE, {}) == RESPONSE


# --- The proxy's decision -----------------------------------------------------------------------------------------------------


async def says(placed: Placed | None, line: bytes, request: bytes = REQUEST, **more: object) -> bytes:
    async def ask(item: str, location: str) -> Placed | None:
        assert (item, location) == ("1565921879", "BR2")
        return placed

    proxy, locations = Proxy("", 0, ask, **more), {}  # type: ignore[arg-type]
    _note_location(request, locations)
    return await proxy.answer(line, locations)


async def test_placements_answer_stands_in_destination_alert_and_sort_bin():
    told = parse(await says(Placed("BR7", "12"), RESPONSE))
    assert (told.get("CT"), told.get("CV"), told.get("CL"), told.header[3]) == ("BR7", "04", "12", "Y")


async def test_a_copy_that_stays_has_no_destination_and_no_alert():
    told = parse(await says(Placed(None, "1"), RESPONSE))
    assert (told.get("CT"), told.get("CV"), told.get("CL"), told.header[3]) == (None, None, "1", "N")


async def test_all_else_of_the_response_stays_as_it_was():
    told = parse(await says(Placed("BR7", None), RESPONSE))
    assert [told.get(name) for name in ("AO", "AB", "AQ", "AJ")] == ["BR1", "1565921879", "BR1", "A Book"]


async def test_a_changed_response_carries_a_new_checksum_and_its_old_sequence():
    signed = encode(parse(RESPONSE)._replace(sequence="7"))
    told = await says(Placed("BR7", "12"), signed)
    assert parse(told).sequence == "7"
    assert told != signed


@pytest.mark.parametrize("line", [FOR_A_HOLD, REFUSED], ids=["trapped for a hold", "refused"])
async def test_a_copy_with_a_hold_and_a_refused_one_pass_unchanged(line: bytes):
    assert await says(Placed("BR7", "12"), line) == line


async def test_without_an_answer_the_response_passes_unchanged():
    assert await says(None, RESPONSE) == RESPONSE


async def test_a_response_to_no_known_place_passes_unchanged():
    assert await says(Placed("BR7", "12"), RESPONSE, request=PATRON_REQUEST) == RESPONSE


async def test_a_dry_run_shows_what_would_be_changed_and_changes_nothing():
    shown: list[sip2.Directed] = []
    assert await says(Placed("BR7", "12"), RESPONSE, show=shown.append) == RESPONSE
    assert shown == [("1565921879", "BR2", "BR7", "12")]


@pytest.mark.parametrize("failure", ["raises", "silent"])
async def test_placement_that_fails_or_keeps_silent_lets_the_response_pass_and_is_left_alone(failure: str):
    asked = 0

    async def ask(item: str, location: str) -> Placed | None:
        nonlocal asked
        asked += 1
        if failure == "silent":
            await asyncio.sleep(30)
        raise RuntimeError("down")

    proxy = Proxy("", 0, ask, default_location="BR2", answer_s=0.01)
    assert [await proxy.answer(RESPONSE, {}) for _ in range(6)] == [RESPONSE] * 6
    assert asked == sip2.SILENCES


@given(st.binary(max_size=300))
@settings(max_examples=100, deadline=None)
def test_whatever_the_system_says_passes_unchanged_where_placement_has_nothing_to_say(line: bytes):
    async def ask(item: str, location: str) -> Placed | None:
        return None

    assert asyncio.run(Proxy("", 0, ask, default_location="BR2").answer(line, {})) == line


# --- Real connections ---------------------------------------------------------------------------------------------------------


class System:
    """A library system's SIP2 side that answers as told, after `wait_s`."""

    def __init__(self, answers: Callable[[bytes], bytes | None], wait_s: float = 0.0) -> None:
        self.answers, self.wait_s, self.heard = answers, wait_s, list[bytes]()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                machine, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(machine,), daemon=True).start()

    def _talk(self, machine: socket.socket) -> None:
        buffer = b""
        while got := machine.recv(4096):
            *lines, buffer = (buffer + got).split(b"\r")
            for line in lines:
                self.heard.append(line)
                time.sleep(self.wait_s)
                if answer := self.answers(line):
                    machine.sendall(answer)


def ordinary(line: bytes) -> bytes | None:
    """Answers of a system that checks in, informs and knows patrons."""
    text = line.lstrip(b"\n")
    try:
        request = parse(text)
    except Broken:
        return b"96AZFEF6\r"
    if request.code == "09":
        return encode(parse(RESPONSE)._replace(sequence=request.sequence))
    if request.code == "17":
        fields = (("AB", request.get("AB") or ""), ("AJ", "A Book"), ("CT", "BR3"), ("BG", PATRON), ("AQ", "BR1"))
        return encode(Sip2Message("18", "10010120100623    165731", fields, request.sequence))
    if request.code == "93":
        return encode(Sip2Message("94", "1", (), request.sequence))
    return f"24              00120100623    165731AE{PATRON}|AA{PATRON}|BLY|\r".encode()


Exchange = Callable[[bytes], Awaitable[bytes]]


async def through(proxy: Proxy, conversation: Callable[[Exchange], Awaitable[None]]) -> None:
    """Run a machine's conversation through a listening proxy."""
    server = await proxy.serve("127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])

        async def exchange(line: bytes) -> bytes:
            writer.write(line)
            return await asyncio.wait_for(reader.readuntil(b"\r"), 5)

        await conversation(exchange)
        writer.close()


async def at_br7(item: str, location: str) -> Placed | None:
    return Placed("BR7", "12")


async def silent(item: str, location: str) -> Placed | None:
    await asyncio.sleep(60)
    return None


async def test_a_checkin_through_the_proxy_is_directed_by_placement():
    async def conversation(exchange: Exchange) -> None:
        assert parse(await exchange(REQUEST)).get("CT") == "BR7"

    await through(Proxy("127.0.0.1", System(ordinary).port, at_br7), conversation)


async def test_everything_else_passes_byte_by_byte_and_no_reader_stands_in_the_log(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    system = System(ordinary)

    async def conversation(exchange: Exchange) -> None:
        assert PATRON.encode() in await exchange(PATRON_REQUEST)

    await through(Proxy("127.0.0.1", system.port, at_br7), conversation)
    assert system.heard == [PATRON_REQUEST.rstrip(b"\r")]
    assert PATRON not in caplog.text


async def test_no_reader_comes_from_client_or_proxy_into_a_question_a_log_an_error_or_a_dry_run(
    caplog: pytest.LogCaptureFixture,
):
    """The system's answers name a reader in every field that may, in the right and in damaged messages alike."""
    caplog.set_level(logging.DEBUG)
    fields = ("AA", "AE", "AF", "AG", "BG", "CY", "DA", "AJ", "CH", "BD", "BE", "BF")
    naming = b"".join(f"{name}{value}|".encode() for name in fields for value in patron.VALUES)
    answers = (RESPONSE[:-1] + naming + b"\r", FOR_A_HOLD[:-1] + naming + b"\r", b"1" + naming + b"\r")
    asked, shown = list[tuple[str, str]](), list[sip2.Directed]()

    async def ask(item: str, location: str) -> Placed | None:
        asked.append((item, location))
        return Placed("BR7", "12")

    said = [await Proxy("", 0, ask, "BR2", show).answer(line, {}) for line in answers for show in (shown.append, None)]
    assert [naming in line for line in said] == [True] * 6
    told = []
    for answer in (answers[0], answers[2]):
        with Client("127.0.0.1", System(lambda _, answer=answer: answer).port, timeout_s=0.05) as client:  # type: ignore[misc]
            try:
                told.append(repr(client.checkin("1565921879", "BR2")))
            except sip2.NoAnswer as error:
                told.append(str(error))
    assert len(asked) == 2
    assert patron.named_in(asked, shown, *told, caplog.text) == []


async def test_with_placement_silent_the_response_is_on_within_100_ms_of_the_systems_own():
    async def conversation(exchange: Exchange) -> None:
        for _ in range(3):
            begin = time.monotonic()
            assert await exchange(REQUEST) == RESPONSE
            late_s.append(time.monotonic() - begin - 0.02)

    late_s: list[float] = []
    for _ in range(4):
        await through(Proxy("127.0.0.1", System(ordinary, wait_s=0.02).port, silent), conversation)
    assert sorted(late_s)[len(late_s) // 2] < 0.1


async def test_a_system_that_cannot_be_reached_ends_the_machines_connection_as_it_would_itself():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    server = await Proxy("127.0.0.1", port, at_br7).serve("127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()


# --- The client ---------------------------------------------------------------------------------------------------------------


def test_the_client_reads_destination_sort_bin_and_alert():
    with Client("127.0.0.1", System(ordinary).port, "BR1") as client:
        assert client.login("u", "p")
        found = client.checkin("1565921879", "BR2")
    assert (found.ok, found.destination, found.alert, found.permanent_location) == (True, "BR3", "04", "BR1")


def test_an_item_on_its_way_says_so_and_nothing_of_readers():
    with Client("127.0.0.1", System(ordinary).port, "BR1") as client:
        found = client.item_information("0101")
    assert found.in_transit
    assert found.destination == "BR3"
    assert PATRON not in repr(found)


def test_a_damaged_answer_is_asked_for_again():
    damaged = iter([b"101YNN20100623    165731AB1|AY0AZ0000\r"])

    def answers(line: bytes) -> bytes | None:
        return next(damaged, None) or ordinary(line)

    with Client("127.0.0.1", System(answers).port, timeout_s=0.5) as client:
        assert client.checkin("1565921879", "BR2").ok


def test_a_system_that_keeps_silent_is_named_without_what_was_asked():
    with Client("127.0.0.1", System(lambda line: None).port, timeout_s=0.05) as client:
        with pytest.raises(sip2.NoAnswer) as raised:
            client.checkin("secret-item", "BR2")
    assert "secret-item" not in str(raised.value)
