"""Days on which places do not keep their week: closures, public holidays, days worked in their place."""

from secrets import token_hex
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response

from rotation.facts.clock import Day
from rotation.store.network_text import NetworkChange
from rotation.store.networks import Author
from rotation.views import public_holidays
from rotation.views.upkeep import EXCEPTION
from rotation.web.context import CalledBy, Context, Database, InLanguage, network_now, network_today
from rotation.web.pages.upkeep_forms import NEW, HoldsFrom, Saving, Seen, Typed, Why, clean, form_values, row_page
from rotation.web.render import page

router = APIRouter(include_in_schema=False)
FARTHEST_YEARS = 2


@router.get("/closures")
def closures(
    request: Request,
    web: Context,
    connection: Database,
    language: InLanguage,
    year: Annotated[int | None, Query(ge=2000, le=2100)] = None,
) -> Response:
    """Show the days on which places do not keep their week, and the public holidays of a year."""
    today = network_today(web, connection)
    network, country = web.network, public_holidays.country_of(web.network)
    asked = min(max(year or today.year, today.year), today.year + FARTHEST_YEARS)
    standing = {one.id for one in network.exceptions}
    return page(
        request,
        "closures.html",
        tab="closures",
        exceptions=sorted(network.exceptions, key=lambda one: (one.last is not None and one.last < today, one.first)),
        holidays=public_holidays.of_year(country, asked) if country else [],
        standing=standing,
        year=asked,
        years=range(today.year, today.year + FARTHEST_YEARS + 1),
        **form_values(web, connection, language, EXCEPTION, NEW, today),
    )


@router.get("/closures/{row_id}")
def closure(request: Request, web: Context, connection: Database, row_id: str) -> Response:
    """Show an exception of a place's week in a form."""
    return row_page(request, web, connection, EXCEPTION, row_id, None)


@router.post("/closures/{row_id}")
def change_closure(
    request: Request,
    web: Context,
    connection: Database,
    caller: CalledBy,
    language: InLanguage,
    row_id: str,
    form: Typed,
    holds_from: HoldsFrom,
    seen: Seen,
    on: Annotated[Day, Form()],
    why: Why = "",
) -> Response:
    """Add or change days on which places do not keep their week."""
    saving = Saving(request, web, connection, language, Author(caller.name, network_now(connection), clean(why)))
    first = "".join(form.get("first", ())[:1])
    return saving.save(EXCEPTION, row_id, form, holds_from, seen, on, new_id=f"{first or 'days'}-{token_hex(3)}")


@router.post("/closures/{row_id}/remove")
def remove_closure(
    request: Request,
    web: Context,
    connection: Database,
    caller: CalledBy,
    language: InLanguage,
    row_id: str,
    seen: Seen,
) -> Response:
    """Take back days on which places do not keep their week."""
    by = Author(caller.name, network_now(connection))
    saving = Saving(request, web, connection, language, by)
    return saving.write([NetworkChange(EXCEPTION, row_id, None)], network_today(web, connection), seen, "/closures")


@router.post("/holidays")
def keep_holidays(
    request: Request,
    web: Context,
    connection: Database,
    caller: CalledBy,
    language: InLanguage,
    year: Annotated[int, Form(ge=2000, le=2100)],
    seen: Seen,
    days: Annotated[tuple[Day, ...], Form()] = (),
    places: Annotated[tuple[str, ...], Form()] = (),
) -> Response:
    """Let places keep the chosen public holidays of a year, and work the days that are worked in their place."""
    country, standing = public_holidays.country_of(web.network), {one.id for one in web.network.exceptions}
    found = public_holidays.of_year(country, year) if country else []
    changes = [one.change(list(places)) for one in found if one.first in days]
    new = [one for one in changes if one.id not in standing]
    saving = Saving(
        request, web, connection, language, Author(caller.name, network_now(connection), f"{country} {year}")
    )
    return saving.write(new, network_today(web, connection), seen, f"/closures?year={year}")
