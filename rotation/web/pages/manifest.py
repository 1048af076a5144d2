"""Manifests and handover sheets (交接单): of a run on A4, of a crate on A4 or on 100 x 50 mm; for the screen and as PDF."""

from enum import StrEnum
from typing import Any

import segno
from fastapi import APIRouter, HTTPException, Response
from markupsafe import Markup
from sqlalchemy import Connection

from rotation.hands import driving
from rotation.language.catalogues import Language
from rotation.views import day, manifests
from rotation.views.manifests import Manifest
from rotation.web.context import Context, Database, InLanguage, Web, network_now
from rotation.web.pages.hands import crate_name, place_of
from rotation.web.pages.labels import bars
from rotation.web.render import HERE, environment, local

router = APIRouter(include_in_schema=False)


class PaperSize(StrEnum):
    """Papers that a manifest is for."""

    A4 = "a4"
    LABEL = "label"


STYLES = {PaperSize.A4: "manifest.css", PaperSize.LABEL: "manifest-label.css"}


@router.get("/driver/{run_id}/manifest")
def of_run(web: Context, connection: Database, language: InLanguage, run_id: str) -> Response:
    """Show a run's handover sheets, a stop each, and the manifests of its crates."""
    return Response(_run_html(web, connection, language, run_id), media_type="text/html")


@router.get("/driver/{run_id}/manifest.pdf")
def of_run_pdf(web: Context, connection: Database, language: InLanguage, run_id: str) -> Response:
    """Give them as PDF."""
    return _pdf(_run_html(web, connection, language, run_id, paper=True), run_id)


def _run_html(web: Web, connection: Connection, language: Language, run_id: str, *, paper: bool = False) -> str:
    run = day.run_of(connection, run_id, network_now(connection))
    if run is None:
        raise HTTPException(404, "run")
    work = {stop.place_id: driving.stop_work(connection, run_id, stop.place_id) for stop in run.stops}
    found = {one.crate_id: one for one in manifests.of_run(connection, run_id)}
    about: dict[str, Any] = {"run": run, "work": work, "manifests": found, "pdf": f"/driver/{run_id}/manifest.pdf"}
    return _html(web, language, "hands/handover.html", PaperSize.A4, paper, **about)


@router.get("/branch/{place_id}/crates/{crate_id}/manifest")
def of_crate(
    web: Context,
    connection: Database,
    language: InLanguage,
    place_id: str,
    crate_id: str,
    size: PaperSize = PaperSize.A4,
) -> Response:
    """Show the manifest of a crate that comes from or goes to a place."""
    return Response(_crate_html(web, connection, language, place_id, crate_id, size), media_type="text/html")


@router.get("/branch/{place_id}/crates/{crate_id}/manifest.pdf")
def of_crate_pdf(
    web: Context,
    connection: Database,
    language: InLanguage,
    place_id: str,
    crate_id: str,
    size: PaperSize = PaperSize.A4,
) -> Response:
    """Give it as PDF."""
    return _pdf(_crate_html(web, connection, language, place_id, crate_id, size, paper=True), crate_id)


def _crate_html(
    web: Web,
    connection: Connection,
    language: Language,
    place: str,
    crate: str,
    size: PaperSize,
    *,
    paper: bool = False,
) -> str:
    found: Manifest | None = manifests.of_crate(connection, crate.replace("\0", ""))
    if found is None or place_of(web.network, place) not in (found.from_place_id, found.to_place_id):
        raise HTTPException(404, "crate")
    pdf = f"/branch/{place}/crates/{crate}/manifest.pdf?size={size}"
    return _html(web, language, "hands/manifest.html", size, paper, manifest=found, pdf=pdf)


def _html(web: Web, language: Language, template: str, size: PaperSize, paper: bool, **about: Any) -> str:
    style = Markup((HERE / "static" / STYLES[size]).read_text(encoding="utf-8")) if paper else ""
    return (
        environment(language.code)
        .get_template(template)
        .render(
            style=style,
            sheet=STYLES[size],
            code_of=web.network.code,
            bars=lambda number: Markup(bars(number)),
            qr=lambda number: Markup(_qr(number)),
            short=lambda number: crate_name(web.network, number),
            **about,
            **local(web.network, language),
        )
    )


def _qr(number: str) -> str:
    return str(
        segno.make(number, error="m", micro=False, mode="byte", boost_error=False).svg_inline(border=2, omitsize=True)
    )


def _pdf(html: str, named: str) -> Response:
    from weasyprint import HTML  # it loads Pango: half a second that only paper needs

    name = "".join(sign if sign.isalnum() and sign.isascii() else "-" for sign in named)
    headers = {"Content-Disposition": f'inline; filename="manifest-{name}.pdf"'}
    return Response(HTML(string=html, base_url=str(HERE)).write_pdf(), media_type="application/pdf", headers=headers)
