"""Pages from templates, in either language; and parts of pages, which is what live updates ask for.

A template's blocks are the parts. `?part=runs` answers with that block alone.
"""

from datetime import date, datetime, timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from babel.dates import format_date, format_datetime
from babel.numbers import format_decimal
from fastapi import HTTPException, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2_fragments import render_block

from rotation.network import Network
from rotation.web import words
from rotation.web.context import language_of, web_of
from rotation.web.language import CHINESE, ENGLISH, Language, language

HERE = Path(__file__).parent
ASSETS = HERE.parent.parent / "node_modules"
DAY_HOUR_MINUTE = {CHINESE: "M月d日 HH:mm", ENGLISH: "d MMM HH:mm"}
MACROS = ("live", "decision_forms", "at_work", "places_choice", "why_not_form", "numbers")
COLOURS = 10  # of runs, in app.css


@cache
def environment(code: str) -> Environment:
    """Return the templates in a language; undefined names are errors."""
    spoken = language(code)
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.i18n"],
    )  # fmt: skip
    made.install_gettext_translations(spoken.messages, newstyle=True)  # type: ignore[attr-defined]
    made.globals.update(language=spoken, words=words, word=partial(words.word, spoken), colours=COLOURS)
    made.filters.update(quoted=partial(quote, safe=""), number=partial(_number, spoken), km=partial(_km, spoken))
    macros: Any = made.get_template("macros.html").module
    made.globals.update({name: getattr(macros, name) for name in MACROS})  # a part alone runs no imports
    return made


def _number(spoken: Language, value: float, digits: int = 0) -> str:
    shape = "#,##0" + ("." + "0" * digits if digits else "")
    return str(format_decimal(value, shape, locale=spoken.locale))


def _km(spoken: Language, metres: float) -> str:
    return _number(spoken, metres / 1000, 1 if metres < 100_000 else 0)


def local(network: Network, spoken: Language) -> dict[str, Any]:
    """Return what turns instants, dates and ids into words of this network and language."""
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

    names_of_classes = {title_class.id: title_class.name for title_class in network.classes}

    def class_name(class_id: str) -> str:
        found = names_of_classes.get(class_id)
        return getattr(found, spoken.code) if found else class_id

    words_of = {"clock": clock, "instant": instant, "long_day": long_day, "name": name, "class_name": class_name}
    return {**words_of, "network_name": getattr(network.network.name, spoken.code)}


def page(request: Request, template: str, status_code: int = 200, **values: Any) -> HTMLResponse:
    """Answer with a page, or with the one block of it that `?part=` names."""
    web, spoken = web_of(request), language_of(request)
    known = {
        "request": request,
        "network": web.network,
        "caller": getattr(request.state, "caller", None),
        "here": request.url.path,
        "query": partial(_query, request),
        "tiles": {"address": web.settings.map_tiles or "", "attribution": web.settings.map_attribution},
        **local(web.network, spoken),
        **values,
    }
    made, part = environment(spoken.code), request.query_params.get("part")
    if part is None:
        html = made.get_template(template).render(known)
    elif part in made.get_template(template).blocks:
        html = render_block(made, template, part, known)
    else:
        raise HTTPException(404, "part")
    headers = {
        "Cache-Control": "no-store",
        "Content-Language": spoken.html,
        "Vary": "Cookie, Accept-Language, HX-Request",
    }
    return HTMLResponse(html, status_code, headers)


def _query(request: Request, **changes: Any) -> str:
    """Return the page's address with some of its questions changed; None takes one away."""
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
    (86_400, words.N_("%(n)d d")),
    (3_600, words.N_("%(n)d h")),
    (60, words.N_("%(n)d min")),
    (1, words.N_("%(n)d s")),
)
