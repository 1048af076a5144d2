"""Channels of alerts and digests: added, tried, ended; their addresses hold keys, so that no page shows them."""

from typing import Annotated

from fastapi import APIRouter, Form, HTTPException, Request, Response

from rotation.alerts import channels
from rotation.alerts.channels import ChannelSettings
from rotation.alerts.sending import ChannelAddressError
from rotation.facts.lifecycle import AlertKind, ChannelKind
from rotation.language.catalogues import language as language_named
from rotation.language.labels import CHANNEL_ADDRESSES, N_
from rotation.views import digest
from rotation.web.context import CalledBy, Context, Database, InLanguage, network_now, network_today
from rotation.web.flash import back
from rotation.web.render import page

router = APIRouter(include_in_schema=False)
Time = Annotated[str, Form(pattern=r"^(([01]\d|2[0-3]):[0-5]\d)?$")]


@router.get("/channels")
def show(request: Request, connection: Database) -> Response:
    """Show the channels and how their messages fare."""
    return page(request, "channels.html", tab="channels", found=channels.standing(connection), kinds=list(ChannelKind))


@router.post("/channels")
def add(
    request: Request,
    connection: Database,
    caller: CalledBy,
    language: InLanguage,
    kind: Annotated[ChannelKind, Form()],
    name: Annotated[str, Form(min_length=1, max_length=60)],
    address: Annotated[str, Form(min_length=1, max_length=1_000)],
    spoken: Annotated[str, Form(pattern="^(zh|en)$")] = "zh",
    kinds: Annotated[tuple[AlertKind, ...], Form()] = (),
    quiet_from: Time = "",
    quiet_to: Time = "",
    after_hours: Annotated[int, Form(ge=0, le=720)] = 0,
    digest_at: Time = "",
    what: Annotated[str, Form(pattern="^(both|alerts|digest)$")] = "both",
) -> Response:
    """Add a channel."""
    alerts, at = what != "digest", "" if what == "alerts" else digest_at
    clean = name.replace("\0", "").strip()
    asked = ChannelSettings(kind, clean, spoken, tuple(kinds), quiet_from, quiet_to, after_hours, at, alerts)
    try:
        channels.add(connection, asked, address.replace("\0", "").strip(), caller.name, network_now(connection))
    except (ChannelAddressError, ValueError):
        return back(
            request, "/channels", language.say(CHANNEL_ADDRESSES[kind]), typed=[("kind", kind), ("name", clean)]
        )
    return back(request, "/channels", language.say(N_("The channel is added; try it.")), is_bad=False)


@router.post("/channels/{channel_id}/try")
def try_channel(
    request: Request, connection: Database, web: Context, language: InLanguage, channel_id: str
) -> Response:
    """Send today's digest to a channel as a trial."""
    channel = next((one for one in channels.standing(connection) if one.channel_id == channel_id), None)
    if channel is None:
        raise HTTPException(404, "channel")
    spoken, day = language_named(channel.language), network_today(web, connection)
    body = digest.message(connection, spoken, day, network_now(connection))
    channels.write(connection, channel_id, digest.subject(spoken, day), body)
    said = N_("A trial is on its way; this page shows the answer in a few seconds.")
    return back(request, "/channels", language.say(said), is_bad=False)


@router.post("/channels/{channel_id}/again")
def again(request: Request, connection: Database, language: InLanguage, channel_id: str) -> Response:
    """Send again the messages that were given up."""
    count = channels.send_again(connection, channel_id)
    return back(request, "/channels", language.say(N_("Messages that are sent again: %(n)s."), n=count), is_bad=False)


@router.post("/channels/{channel_id}/end")
def end(request: Request, connection: Database, language: InLanguage, channel_id: str) -> Response:
    """End a channel."""
    if not channels.end(connection, channel_id):
        raise HTTPException(404, "channel")
    return back(
        request, "/channels", language.say(N_("The channel is ended, and its address forgotten.")), is_bad=False
    )


@router.get("/digest")
def show_digest(request: Request, web: Context, connection: Database, language: InLanguage) -> Response:
    """Show the day in ten lines."""
    day = network_today(web, connection)
    found = digest.lines(connection, day, network_now(connection))
    return page(request, "digest.html", tab="digest", day=day, found=found, calm=digest.CALM, spoken=language)
