"""Upkeep: the network's rows, edited with the day from which each change holds, and its history."""

from typing import Annotated

from fastapi import APIRouter, Form, HTTPException, Request, Response

from rotation.facts.clock import Day
from rotation.store import networks
from rotation.store.network_text import SINGLE, NetworkChange
from rotation.store.networks import Author
from rotation.views import upkeep
from rotation.web.context import CalledBy, Context, Database, InLanguage, network_now, network_today
from rotation.web.pages.upkeep_forms import HoldsFrom, Saving, Seen, Typed, Why, clean, last_number, row_page
from rotation.web.render import page

router = APIRouter(include_in_schema=False)


@router.get("/upkeep")
def overview(request: Request, web: Context, connection: Database) -> Response:
    """Show the tables that can be edited, and the network's history."""
    file = web.settings.network_file()
    return page(
        request,
        "upkeep.html",
        tab="upkeep",
        tables=upkeep.TABLES,
        versions=[one for one in reversed(networks.history(connection)) if one.who],
        offered=networks.offered(connection, file) is not None,
        today=network_today(web, connection),
        file=file.name,
        seen=last_number(connection),
    )


@router.get("/upkeep/{table}")
def rows(request: Request, web: Context, connection: Database, table: str) -> Response:
    """Show a table's rows."""
    if table not in upkeep.TABLES or table in SINGLE:
        raise HTTPException(404, "table")
    today = network_today(web, connection)
    whole = networks.standing(connection, web.settings.network_file(), today).tables()
    shown = list(upkeep.names_of(whole, table))
    return page(request, "upkeep_rows.html", tab="upkeep", table=table, title=upkeep.TABLES[table], rows=shown)


@router.get("/upkeep/{table}/{row_id}")
def row(
    request: Request, web: Context, connection: Database, table: str, row_id: str, on: Day | None = None
) -> Response:
    """Show a row as it holds on a day, in a form."""
    if table not in upkeep.TABLES:
        raise HTTPException(404, "table")
    return row_page(request, web, connection, table, row_id, on)


@router.post("/upkeep/{table}/{row_id}")
def change_row(
    request: Request,
    web: Context,
    connection: Database,
    caller: CalledBy,
    language: InLanguage,
    table: str,
    row_id: str,
    form: Typed,
    holds_from: HoldsFrom,
    seen: Seen,
    on: Annotated[Day, Form()],
    why: Why = "",
    new_id: Annotated[str, Form(max_length=64)] = "",
) -> Response:
    """Change a row, or add one."""
    if table not in upkeep.TABLES:
        raise HTTPException(404, "table")
    saving = Saving(request, web, connection, language, Author(caller.name, network_now(connection), clean(why)))
    return saving.save(table, row_id, form, holds_from, seen, on, new_id=clean(new_id))


@router.post("/upkeep/{table}/{row_id}/remove")
def remove_row(
    request: Request,
    web: Context,
    connection: Database,
    caller: CalledBy,
    language: InLanguage,
    table: str,
    row_id: str,
    holds_from: HoldsFrom,
    seen: Seen,
    why: Why = "",
) -> Response:
    """Take a row out of the network from a day on."""
    if table not in upkeep.TABLES or table in SINGLE:
        raise HTTPException(404, "table")
    saving = Saving(request, web, connection, language, Author(caller.name, network_now(connection), clean(why)))
    return saving.write([NetworkChange(table, row_id, None)], holds_from, seen, f"/upkeep/{table}")
