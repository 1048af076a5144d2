"""Labels of crates and bags, 100 x 50 mm: a QR code and a Code 128 of the number, and where it goes, large."""

from typing import Any

import segno
from barcode import Code128
from fastapi import APIRouter, Response
from markupsafe import Markup
from sqlalchemy import Connection

from rotation.language.catalogues import Language
from rotation.views.labels import labels_of
from rotation.web.context import Context, Database, InLanguage, Web, network_today
from rotation.web.pages.hands import crate_name, place_of
from rotation.web.render import HERE, environment, local

router = APIRouter(include_in_schema=False)
QUIET_MODULES = 10  # of white beside a Code 128, which readers need


@router.get("/branch/{place_id}/labels")
def show(web: Context, connection: Database, language: InLanguage, place_id: str) -> Response:
    """Show the labels of today's crates, ready to print."""
    return Response(_html(web, connection, language, place_of(web.network, place_id)), media_type="text/html")


@router.get("/branch/{place_id}/labels.pdf")
def pdf(web: Context, connection: Database, language: InLanguage, place_id: str) -> Response:
    """Give the labels of today's crates as PDF, a page each."""
    from weasyprint import HTML  # it loads Pango: half a second that only such pages need

    style = (HERE / "static" / "labels.css").read_text(encoding="utf-8")
    html = _html(web, connection, language, place_of(web.network, place_id), style)
    drawn = HTML(string=html, base_url=str(HERE)).write_pdf()
    name = f'inline; filename="labels-{place_id}-{network_today(web, connection)}.pdf"'
    return Response(drawn, media_type="application/pdf", headers={"Content-Disposition": name})


def _html(web: Web, connection: Connection, language: Language, place: str, style: str = "") -> str:
    today = network_today(web, connection)
    about: dict[str, Any] = {"place_id": place, "today": today, "style": Markup(style), "code_of": web.network.code}
    return (
        environment(language.code)
        .get_template("hands/labels.html")
        .render(
            labels=labels_of(connection, web.network, place, today),
            qr=lambda number: Markup(_qr(number)),
            bars=lambda number: Markup(bars(number)),
            short=lambda number: crate_name(web.network, number),
            **about,
            **local(web.network, language),
        )
    )


def _qr(number: str) -> str:
    """Return a QR code as SVG: bytes, and never the Micro form, which phones do not read."""
    code = segno.make(number, error="m", micro=False, mode="byte", boost_error=False)
    return str(code.svg_inline(border=2, omitsize=True))


def bars(number: str) -> str:
    """Return a Code 128 as SVG, a unit a module."""
    modules = Code128(number).build()[0]
    drawn = "".join(f"M{at + QUIET_MODULES} 0h1v1h-1z" for at, module in enumerate(modules) if module == "1")
    wide = len(modules) + 2 * QUIET_MODULES
    return (
        f'<svg viewBox="0 0 {wide} 1" preserveAspectRatio="none" shape-rendering="crispEdges"><path d="{drawn}"/></svg>'
    )
