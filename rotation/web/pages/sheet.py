"""The run sheet that a driver takes along: A4, the same page for the screen's print button and as PDF."""

from collections import defaultdict
from typing import Any

import segno
from fastapi import APIRouter, HTTPException, Response
from markupsafe import Markup
from sqlalchemy import Connection

from rotation.dispatch.orders import to_take_out
from rotation.language.catalogues import Language
from rotation.views import day
from rotation.web.context import Context, Database, InLanguage, Web, network_now
from rotation.web.render import HERE, environment, local

router = APIRouter(include_in_schema=False)


def sheet_html(connection: Connection, web: Web, language: Language, run_id: str, *, paper: bool) -> str:
    """Return a run's sheet; `paper`: for the PDF, with its style in it and without buttons.

    Raises
    ------
    HTTPException
        404, where there is no such run.
    """
    run = day.run_of(connection, run_id, network_now(connection))
    if run is None:
        raise HTTPException(404, "run")
    crates: defaultdict[str, list[day.StopCrate]] = defaultdict(list)
    for crate in day.crates_of(connection, run_id):
        crates[crate.place_id].append(crate)
    code = Markup(_code(run.run_id).svg_inline(scale=2.2, border=0))
    style = Markup((HERE / "static" / "sheet.css").read_text(encoding="utf-8")) if paper else ""
    return (
        environment(language.code)
        .get_template("sheet.html")
        .render(
            run=run,
            crates=crates,
            take_out={stop.place_id: to_take_out(connection, web.network, run_id, stop.place_id) for stop in run.stops},
            code=code,
            style=style,
            van=_van(web, run),
            network=web.network,
            **local(web.network, language),
        )
    )


def _code(run_id: str) -> segno.QRCode:
    """Return a run's QR code: never the Micro form, which segno takes for short text and phones do not read."""
    return segno.make(run_id, error="m", micro=False)


def _van(web: Web, run: day.RunLine) -> Any:
    return next((van for van in web.network.vans if van.id == run.van_id), None)


@router.get("/runs/{run_id}/sheet")
def sheet(run_id: str, web: Context, connection: Database, language: InLanguage) -> Response:
    """Show a run's sheet, ready to print."""
    return Response(sheet_html(connection, web, language, run_id, paper=False), media_type="text/html")


@router.get("/runs/{run_id}/sheet.pdf")
def sheet_pdf(run_id: str, web: Context, connection: Database, language: InLanguage) -> Response:
    """Give a run's sheet as PDF."""
    from weasyprint import HTML  # it loads Pango: half a second that only this page needs

    html = sheet_html(connection, web, language, run_id, paper=True)
    pdf = HTML(string=html, base_url=str(HERE)).write_pdf()
    name = "".join(sign if sign.isalnum() and sign.isascii() else "-" for sign in run_id)
    return Response(
        pdf, media_type="application/pdf", headers={"Content-Disposition": f'inline; filename="{name}.pdf"'}
    )
