"""SIP2: messages, a small client, and a proxy that puts placement's answer into the library system's check-in responses."""

from rotation.feeds.sip2.client import CheckedIn, Client, Information, NoAnswer
from rotation.feeds.sip2.mapping import Sip2Map, asking, read_map
from rotation.feeds.sip2.messages import (
    CHECKIN,
    CHECKIN_RESPONSE,
    ENCODING,
    END,
    ITEM,
    ITEM_RESPONSE,
    LOGIN,
    LOGIN_RESPONSE,
    Broken,
    Sip2Message,
    checksum,
    encode,
    parse,
)
from rotation.feeds.sip2.proxy import SILENCES, Directed, Placed, Proxy

__all__ = [
    "CHECKIN",
    "CHECKIN_RESPONSE",
    "ENCODING",
    "END",
    "ITEM",
    "ITEM_RESPONSE",
    "LOGIN",
    "LOGIN_RESPONSE",
    "SILENCES",
    "Broken",
    "CheckedIn",
    "Client",
    "Directed",
    "Information",
    "NoAnswer",
    "Placed",
    "Proxy",
    "Sip2Map",
    "Sip2Message",
    "asking",
    "checksum",
    "encode",
    "parse",
    "read_map",
]
