"""Pages from templates, in either language; and parts of pages, for live updates.

A template's blocks are the parts. `?part=runs` answers with that block alone.
"""

import secrets
from datetime import date, datetime, timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode
from uuid import uuid4
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_datetime
from babel.numbers import format_decimal
from fastapi import HTTPException, Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2_fragments import render_block

from rotation.facts import lifecycle
from rotation.facts.hand_work import HandWork
from rotation.language import labels
from rotation.language.catalogues import CHINESE, ENGLISH, Language, language
from rotation.language.names import subject_named, van_names
from rotation.network import Network
from rotation.web import flash, spreadsheets
from rotation.web.context import language_of, web_of
from rotation.web.edits import changes_said

HERE = Path(__file__).parent
# In a wheel the page's assets are part of the package (setup.py); in a checkout `make assets` fetches them.
ASSETS = next((at for at in (HERE / "assets", HERE.parents[1] / "node_modules") if at.is_dir()), HERE / "assets")
DAY_HOUR_MINUTE = {CHINESE: "y年M月d日 HH:mm", ENGLISH: "d MMM y HH:mm"}
MACROS = (
    "mark_forms",
    "mark_said",
    "live",
    "tab_link",
    "tab_group",
    "decision_forms",
    "take_back_form",
    "at_work",
    "places_choice",
    "why_not_form",
    "numbers",
    "icon",
    "chip",
    "scan_fields",
    "scanbox",
)
COLOURS = 10  # of runs, in app.css
# In the page itself: a phone on a slow network asks for it once less.
ICON = f"data:image/svg+xml,{quote((HERE / 'static' / 'icon.svg').read_text(encoding='utf-8').strip())}"


@cache
def environment(code: str) -> Environment:
    """Return the templates in a language; undefined names are errors."""
    spoken = language(code)
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    made.install_gettext_translations(spoken.messages, newstyle=True)  # type: ignore[attr-defined]
    made.globals.update(
        language=spoken, words=labels, word=partial(labels.word, spoken), colours=COLOURS, new_id=new_id
    )
    made.globals.update(icon_data=ICON)
    made.globals.update(lifecycle=lifecycle, HandWork=HandWork)  # states and kinds by name
    made.filters.update(quoted=partial(quote, safe=""), number=partial(_number, spoken), km=partial(_km, spoken))
    macros: Any = made.get_template("macros.html").module
    made.globals.update({name: getattr(macros, name) for name in MACROS})  # a part alone runs no imports
    return made


def new_id() -> str:
    """Return an id for a form's scan: sent twice, it counts once."""
    return uuid4().hex


def _moment(zone: ZoneInfo, at: datetime) -> str:
    """Return an instant as tables sort it, and as a spreadsheet takes it for a time."""
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M}"


def _number(spoken: Language, value: float, digits: int = 0) -> str:
    shape = "#,##0" + ("." + "0" * digits if digits else "")
    return str(format_decimal(value, shape, locale=spoken.locale))


def _km(spoken: Language, metres: float) -> str:
    return _number(spoken, metres / 1000, 1 if metres < 100_000 else 0)


def local(network: Network, spoken: Language) -> dict[str, Any]:
    """Return the template filters that turn instants, dates and ids into words of this network and language."""
    zone = network.timezone

    def clock(at: datetime) -> str:
        return f"{at.astimezone(zone):%H:%M}"  # the same in both languages, and a page has thousands

    def instant(at: datetime) -> str:
        return str(format_datetime(at, DAY_HOUR_MINUTE[spoken.code], tzinfo=zone, locale=spoken.locale))

    def long_day(day: date) -> str:
        return str(format_date(day, "full", locale=spoken.locale))

    def name(place_id: str) -> str:
        place = network.place.get(place_id)
        return getattr(place.name, spoken.code) if place else place_id

    vans = van_names(network, spoken)

    def van_name(van_id: str) -> str:
        return vans.get(van_id, van_id)

    def subject_name(named: str) -> str:
        return subject_named(network, spoken, named)

    names_of_classes = {title_class.id: title_class.name for title_class in network.classes}

    def class_name(class_id: str) -> str:
        found = names_of_classes.get(class_id)
        return getattr(found, spoken.code) if found else class_id

    words_of = {
        "clock": clock,
        "instant": instant,
        "moment": partial(_moment, zone),
        "long_day": long_day,
        "name": name,
        "class_name": class_name,
    }
    words_of |= {"van_name": van_name, "subject_name": subject_name}
    words_of["changes_said"] = partial(changes_said, network=network, language=spoken)
    return {**words_of, "network_name": getattr(network.network.name, spoken.code)}


def page(request: Request, template: str, status_code: int = 200, **values: Any) -> Response:
    """Answer with a page, with the block of it that `?part=` names, or with a table of it as a file."""
    web, spoken = web_of(request), language_of(request)
    known = {
        "request": request,
        "network": web.network,
        "caller": getattr(request.state, "caller", None),
        "here": request.url.path,
        "mark": getattr(request.state, "mark", ""),
        "once_key": secrets.token_urlsafe(12),  # of each form: sent twice, done once
        "query": partial(query, request),
        "city_sign_in": web.settings.oidc_name if web.settings.oidc_issuer else "",
        "tiles": {"address": web.settings.map_tiles or "", "attribution": web.settings.map_attribution},
        **local(web.network, spoken),
        **values,
    }
    made, part = environment(spoken.code), request.query_params.get("part")
    known["flash"] = flash.taken(request) if part is None and request.method == "GET" else None
    if part is None:
        html = made.get_template(template).render(known)
    elif part in made.get_template(template).blocks:
        html = render_block(made, template, part, known)
    else:
        raise HTTPException(404, "part")
    form, table = (request.query_params.get(name, "") for name in ("form", "table"))
    if form and table and part is None and status_code == 200:
        return spreadsheets.answer(form, table, {table: spreadsheets.of_page(html, table, request.query_params)})
    headers = {
        "Cache-Control": "no-store",
        "Content-Language": spoken.html,
        "Vary": "Cookie, Accept-Language, HX-Request",
    }
    return HTMLResponse(html, status_code, headers)


def query(request: Request, **changes: Any) -> str:
    """Return the page's address with some query parameters changed; None removes a parameter."""
    kept = {key: value for key, value in request.query_params.items() if key not in ("part", *changes)}
    kept |= {key: value for key, value in changes.items() if value not in (None, "")}
    return f"{request.url.path}?{urlencode(kept)}" if kept else request.url.path


def span(spoken: Language, passed: timedelta) -> str:
    """Return how long something took, in its largest unit: seconds, minutes, hours or days."""
    seconds = max(int(passed.total_seconds()), 0)
    for unit_s, message in _SPANS:
        if seconds >= unit_s:
            return spoken.say(message, n=seconds // max(unit_s, 1))
    return spoken.say(_SPANS[-1][1], n=seconds)


_SPANS = (
    (86_400, labels.N_("%(n)d d")),
    (3_600, labels.N_("%(n)d h")),
    (60, labels.N_("%(n)d min")),
    (1, labels.N_("%(n)d s")),
)
