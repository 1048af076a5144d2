"""Why not, and what if: asked on the page, and answered in the background while the page waits.

A question is its address. The part that waits asks for itself again each second until the answer is there.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy import Connection, func, select

from rotation.language.labels import N_
from rotation.network import Tier
from rotation.night import what_if
from rotation.store.tables import plans
from rotation.views import explanations
from rotation.web.background import BackgroundAnswer, Busy
from rotation.web.context import Context, Database, Web, language_of
from rotation.web.render import page

router = APIRouter(include_in_schema=False)
Text = Annotated[str, Query(max_length=200)]
Number = Annotated[str, Query(max_length=20, pattern=r"^(\d+(\.\d+)?)?$")]  # a form sends "" for what was left empty
BUSY = N_("Other questions are waiting for answers. Try again in a minute.")
Whole = Annotated[str, Query(max_length=6, pattern=r"^\d*$")]


@router.get("/why-not")
def why_not(request: Request, web: Context, connection: Database, title: Text = "", place: Text = "") -> Response:
    """Say why no copy of a title goes to a place."""
    ask = partial(
        explanations.not_there, network=web.network, settings=web.settings, title_id=title.strip(), place_id=place
    )
    return _answered(request, web, connection, "why_not.html", ask if title and place else None)


@router.get("/what-if")
def what_would_be(
    request: Request,
    web: Context,
    connection: Database,
    moves: Whole = "",
    move_price: Number = "",
    equity: Number = "",
    fresh_bonus: Number = "",
    floor_bonus: Number = "",
    place: Text = "",
    times: Number = "",
    closed: Text = "",
    new: Text = "",
    new_at: Text = "",
    tier: Tier = Tier.ROOM,
    move: Text = "",
    move_to: Text = "",
) -> Response:
    """Plan today as it is and with a change, and draw the differences."""
    try:
        asked = what_if.question(
            moves=moves or None,
            move_price=move_price or None,
            equity=equity or None,
            fresh_bonus=fresh_bonus or None,
            floor_bonus=floor_bonus or None,
            capacity={place: times} if place and times else {},
            closed=[closed] if closed else [],
            added=what_if.additions([f"{new}={new_at},{tier}"]) if new or new_at else [],
            moved=what_if.journeys([f"{move}={move_to}"]) if move else [],
        )
    except ValueError as wrong:
        return _page(request, "what_if.html", 400, wrong=str(wrong))
    ask = partial(what_if.beside_todays, network=web.network, settings=web.settings, asked=asked)
    return _answered(request, web, connection, "what_if.html", None if asked.empty else ask)


def _answered(
    request: Request, web: Web, connection: Connection, template: str, answer: Callable[[Connection], Any] | None
) -> Response:
    """Show the form, with the answer if it is there, or that someone is at it."""
    if answer is None:
        return _page(request, template)
    try:
        piece = web.works.ask((_question(request), newest_night(connection)), partial(on_own, web, answer))
    except Busy:
        return _page(request, template, 503, wrong=language_of(request).say(BUSY))
    if not piece.future.done():
        return _page(request, template, waiting=piece)
    wrong = piece.future.exception()
    if isinstance(wrong, explanations.NoNight | ValueError):
        return _page(request, template, 400, wrong=str(wrong))
    return _page(request, template, answer=piece.future.result())


def on_own(web: Web, answer: Callable[[Connection], Any]) -> Any:
    """Answer on a connection of its own, for a page's is gone by then; nothing is kept."""
    with web.engine.connect() as connection:
        return answer(connection)


def _question(request: Request) -> tuple[Any, ...]:
    asked = sorted((name, value) for name, value in request.query_params.items() if name != "part" and value)
    return request.url.path, *asked


def newest_night(connection: Connection) -> Any:
    """Return the key that separates the answers of different nights."""
    return connection.scalar(select(func.max(plans.c.snapshot_at)))


def _page(
    request: Request,
    template: str,
    status: int = 200,
    *,
    waiting: BackgroundAnswer | None = None,
    answer: Any = None,
    wrong: str = "",
) -> Response:
    rows = list(_rows(answer)) if answer and "as_is" in answer else []
    status = 200 if "part" in request.query_params else status  # the part that waits takes no other
    values = {"asked": request.query_params, "waiting": waiting, "answer": answer, "wrong": wrong, "rows": rows}
    return page(request, template, status, tab="what-if" if template == "what_if.html" else "prices", **values)


FIGURES: Mapping[str, tuple[str, int]] = {  # figure: its label and number of digits
    "moves": (N_("Moves"), 0),
    "loans": (N_("Expected loans"), 1),
    "waiting": (N_("Copies for readers who wait"), 0),
    "missing": (N_("Copies missing under floors"), 0),
    "cost": (N_("Handling and transport, in loans"), 1),
    "move_price": (N_("A move must bring"), 2),
    "kilometres": (N_("Copies' kilometres"), 0),
    "within_15_minutes": (N_("Residents within 15 minutes"), 0),
    "units_served": (N_("Townships and villages with a place"), 0),
}
FULL_BAR = 100  # units of the drawing that the larger of two figures takes


class FigureRow(NamedTuple):
    """A figure of both plans, with the lengths of their bars."""

    label: str
    digits: int
    as_is: float
    changed: float
    bar_as_is: int
    bar_changed: int


def _rows(answer: Mapping[str, Any]) -> Any:
    for name, (label, digits) in FIGURES.items():
        one, other = float(answer["as_is"][name]), float(answer["changed"][name])
        most = max(abs(one), abs(other)) or 1.0
        yield FigureRow(
            label, digits, one, other, round(FULL_BAR * abs(one) / most), round(FULL_BAR * abs(other) / most)
        )
