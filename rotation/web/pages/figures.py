"""Key figures: the network's service to its readers and its cost, each with its formula and its past; as files too."""

import calendar
import csv
import io
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Annotated, Any

from fastapi import APIRouter, File, HTTPException, Path, Query, Request, Response, UploadFile
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import Connection

from config.figures import known
from rotation.facts.clock import Day
from rotation.language.catalogues import Language
from rotation.language.figures import FIGURES, SHARE, FigureWords
from rotation.language.labels import N_, TIERS
from rotation.night.day_figures import CLASS, PLACE, TIER
from rotation.views import journeys, kept_figures
from rotation.views.kept_figures import DayFigures
from rotation.web import lines, spreadsheets
from rotation.web.context import CalledBy, Context, Database, InLanguage, Web
from rotation.web.flash import back
from rotation.web.once import OnceRoute
from rotation.web.render import HERE, environment, local, page
from rotation.web.spreadsheets import SheetTable

router = APIRouter(route_class=OnceRoute)
LANES = 12  # the busiest; the page of lanes has all
MOST_COUNTS_BYTES = 900_000  # a body takes a megabyte
OF_PLACES = (
    "turnover",
    "share_on_loan",
    "stale_stock",
    "holdings_per_head",
    "special_shelves",
    "in_transit_days",
    "holds_wait",
)
COUNTED = ("visits_per_head", "satisfaction")
OF_CLASSES = ("turnover", "share_on_loan", "stale_stock", "special_shelves")


@dataclass(frozen=True)
class FigureCard:
    """A figure of the whole network on the page."""

    key: str
    words: FigureWords
    value: float | None
    change: float | None
    half_width: float | None
    line: lines.SparkLine | None

    @property
    def tone(self) -> str:
        """Whether its change is for the better."""
        return "" if not self.change or not self.words.good else "good" if self.change * self.words.good > 0 else "bad"


@dataclass
class FiguresPage:
    """The page: a day's figures, beside those before."""

    connection: Connection
    web: Web
    month: date | None

    @cached_property
    def months(self) -> list[date]:
        """The months that were counted."""
        return kept_figures.months(self.connection)

    @cached_property
    def day(self) -> date | None:
        """The last day that was counted, in the month that is asked for."""
        until = self.month and self.month.replace(day=calendar.monthrange(self.month.year, self.month.month)[1])
        return kept_figures.last_day(self.connection, until)

    @cached_property
    def figures(self) -> DayFigures:
        """The day's figures."""
        return kept_figures.of_day(self.connection, self.day) if self.day else DayFigures(date.min, ())

    @cached_property
    def cards(self) -> list[FigureCard]:
        """Every figure of the whole network, in the order of their list."""
        past = kept_figures.lines(self.connection, self.day) if self.day else {}
        return [self._card(key, words, past.get(key, [])) for key, words in FIGURES.items()]

    def _card(self, key: str, words: FigureWords, past: list[tuple[date, float]]) -> FigureCard:
        value = self.figures.of(key)
        earlier = kept_figures.before(past, self.figures.day)
        change = None if value is None or earlier is None else (value - earlier) * words.times
        half_width = self.figures.of(key, "half_width")
        shown = None if value is None else value * words.times
        return FigureCard(key, words, shown, change, half_width, lines.spark(past))

    @cached_property
    def standard(self) -> float | None:
        """The city's standard of holdings per head; None where none is set, or its figure is not known."""
        figure = self.web.network.floors.holdings_per_head
        return known().get(figure) if isinstance(figure, str) else figure

    @cached_property
    def tiers(self) -> list[tuple[str, dict[str, float]]]:
        """Tiers from the city down, with their figures."""
        parts = self.figures.parts(TIER)
        return [(tier, parts[tier]) for tier in TIERS if tier in parts]

    @cached_property
    def places(self) -> list[tuple[str, dict[str, float]]]:
        """Places in the network's order, with their figures."""
        parts = self.figures.parts(PLACE)
        return [(place.id, parts[place.id]) for place in self.web.network.places if place.id in parts]

    @cached_property
    def classes(self) -> list[tuple[str, dict[str, float]]]:
        """Classes in the network's order, with their figures."""
        parts = self.figures.parts(CLASS)
        return [(one.id, parts[one.id]) for one in self.web.network.classes if one.id in parts]

    @cached_property
    def lanes(self) -> list[journeys.Lane]:
        """The busiest lanes of the last quarter."""
        return journeys.lanes(self.connection, rows=LANES)

    def columns(self, some: tuple[str, ...], rows: list[tuple[str, dict[str, float]]]) -> list[tuple[str, FigureWords]]:
        """Return those of some figures that any row has."""
        words = {**FIGURES, "tier_share": SHARE}
        return [(key, words[key]) for key in some if any(key in figures for _, figures in rows)]


Month = Annotated[str, Query(pattern=r"^(\d{4}-(0[1-9]|1[0-2]))?$")]


def _view(connection: Connection, web: Web, month: str) -> FiguresPage:
    return FiguresPage(connection, web, date.fromisoformat(f"{month}-01") if month and month >= "1000" else None)


def _shown(view: FiguresPage, language: Language) -> dict[str, Any]:
    currency = view.web.network.network.currency
    return {
        "view": view,
        "tab": "figures",
        "unit": lambda words: language.say(words.unit, currency=currency) if words.unit else "",
        "largest_of": lambda key: max((values.get(key, 0.0) for _, values in view.tiers), default=0.0),
        "tier_word": lambda tier: language.say(TIERS[tier]),
        "figure_words": FIGURES,
        "of_tiers": ("tier_share", *OF_PLACES, *COUNTED),
        "of_places": (*OF_PLACES, *COUNTED),
        "of_classes": OF_CLASSES,
    }


@router.get("/figures", include_in_schema=False)
def figures(request: Request, web: Context, connection: Database, language: InLanguage, month: Month = "") -> Response:
    """Show the key figures."""
    return page(request, "figures.html", month=month, **_shown(_view(connection, web, month), language))


@router.get("/figures.{form}", include_in_schema=False)
def figures_file(
    web: Context,
    connection: Database,
    language: InLanguage,
    form: Annotated[str, Path(pattern="^(csv|xlsx|pdf)$")],
    month: Month = "",
) -> Response:
    """Give all of the page as a workbook, as CSV or as PDF."""
    view = _view(connection, web, month)
    if view.day is None:
        raise HTTPException(404, "figures")
    if form == "pdf":
        return _pdf(view, language)
    return spreadsheets.answer(form, f"figures-{view.day}", _tables(view, language))


def _pdf(view: FiguresPage, language: Language) -> Response:
    from weasyprint import HTML  # it loads Pango: half a second that only files need

    style = (HERE / "static" / "paper.css").read_text(encoding="utf-8")
    html = (
        environment(language.code)
        .get_template("figures_report.html")
        .render(**_shown(view, language), style=style, **local(view.web.network, language))
    )
    pdf = HTML(string=html, base_url=str(HERE)).write_pdf()
    name = f'inline; filename="figures-{view.day}.pdf"'
    return Response(pdf, media_type="application/pdf", headers={"Content-Disposition": name})


def _tables(view: FiguresPage, language: Language) -> dict[str, SheetTable]:
    """Return the whole network's figures and their parts as sheets."""
    say, network = language.say, view.web.network
    unit = _shown(view, language)["unit"]
    names = local(network, language)
    head = [
        say(N_("Figure")),
        say(N_("Value")),
        say(N_("Unit")),
        say(N_("Change on the month before")),
        say(N_("How it is counted")),
        "ISO 11620",
    ]
    all_rows: list[list[spreadsheets.Cell]] = [
        [say(card.words.name), card.value, unit(card.words), card.change, say(card.words.formula), card.words.iso]
        for card in view.cards
    ]
    sheets = {say(N_("Whole network")): SheetTable(head, all_rows)}
    of = _shown(view, language)
    for title, first, rows, some, name in (
        (N_("By tier"), N_("Tier"), view.tiers, of["of_tiers"], lambda tier: say(TIERS[tier])),
        (N_("By place"), N_("Place"), view.places, of["of_places"], names["name"]),
        (N_("By class"), N_("Class"), view.classes, of["of_classes"], names["class_name"]),
    ):
        columns = view.columns(some, rows)
        heads = [say(first), *(f"{say(words.name)} ({unit(words)})" for _, words in columns)]
        lines_: list[list[spreadsheets.Cell]] = [
            [name(subject), *(_scaled(values, key, words) for key, words in columns)] for subject, values in rows
        ]
        sheets[say(title)] = SheetTable(heads, lines_)
    return sheets


def _scaled(values: dict[str, float], key: str, words: FigureWords) -> float | None:
    return round(values[key] * words.times, 4) if key in values else None


# --- The same for machines, and what the city counts itself ------------------------------------------------------------------


class FigureResource(BaseModel):
    """A figure of a day: `value` is `amount` over `base`; `by` names the kind of part that `subject` is."""

    figure: str
    by: str
    subject: str
    amount: float
    base: float
    value: float


class FiguresResource(BaseModel):
    """The figures of the last day that was counted."""

    day: date | None
    figures: list[FigureResource]


@router.get("/api/figures")
def read_figures(connection: Database, day: Day | None = None) -> FiguresResource:
    """Return the key figures of the last day counted, `day` at the latest: of all, by tier, place and class."""
    found = kept_figures.last_day(connection, day)
    values = kept_figures.of_day(connection, found).values if found else ()
    parts = [
        FigureResource(
            figure=one.figure, by=one.by, subject=one.subject, amount=one.amount, base=one.base, value=one.value
        )
        for one in values
    ]
    return FiguresResource(day=found, figures=parts)


class CityCount(BaseModel):
    """A city's counts at a place in a month: visits, and satisfaction (0 to 100) of so many answers."""

    model_config = ConfigDict(extra="forbid")

    place: Annotated[str, Field(min_length=1, max_length=64)]
    month: Annotated[str, Field(pattern=r"^[12]\d{3}-(0[1-9]|1[0-2])$")]
    visits: Annotated[int, Field(ge=0, le=100_000_000)] | None = None
    satisfaction: Annotated[float, Field(ge=0, le=100)] | None = None
    answers: Annotated[int, Field(ge=0, le=100_000_000)] | None = None


class CityCounts(BaseModel):
    """Counts of places and months; a place and month given again replaces the former."""

    model_config = ConfigDict(extra="forbid")

    counts: Annotated[list[CityCount], Field(min_length=1, max_length=5_000)]


@router.post("/api/city-counts", responses={422: {"description": "Not accepted; nothing was changed"}})
def tell_counts(web: Context, connection: Database, caller: CalledBy, body: CityCounts) -> dict[str, int]:
    """Take visits and satisfaction that the city counted itself."""
    if unknown := sorted({one.place for one in body.counts} - set(web.network.place)):
        raise HTTPException(422, f"the network has no place {unknown[0]!r}")
    return {"rows": kept_figures.tell_counts(connection, map(_row, body.counts), caller.name)}


def _row(one: CityCount) -> dict[str, Any]:
    month = date.fromisoformat(f"{one.month}-01")
    return {
        "place_id": one.place,
        "month": month,
        "visits": one.visits,
        "satisfaction": one.satisfaction,
        "answers": one.answers,
    }


@router.post("/figures/city-counts", include_in_schema=False)
def import_counts(
    request: Request,
    web: Context,
    connection: Database,
    caller: CalledBy,
    language: InLanguage,
    file: Annotated[UploadFile, File()],
) -> Response:
    """Take the same as a CSV file with the columns place, month, visits, satisfaction, answers; all of it or nothing."""
    try:
        rows = _read(file.file.read(MOST_COUNTS_BYTES + 1), web, language)
    except BadCounts as error:
        return back(request, "/figures", str(error))
    told = kept_figures.tell_counts(connection, map(_row, rows), caller.name)
    done = N_("Rows taken over: %(n)s. The figures of tonight have them.")
    return back(request, "/figures", language.say(done, n=told), is_bad=False)


class BadCounts(ValueError):
    """The file is refused, with the reason in the reader's language."""


def _read(content: bytes, web: Web, language: Language) -> list[CityCount]:
    if len(content) > MOST_COUNTS_BYTES:
        raise BadCounts(language.say(N_("The file is larger than 900 kB; send its months one by one.")))
    rows = csv.DictReader(io.StringIO(_decoded(content), newline=""), strict=True)
    found: list[CityCount] = []
    try:
        for row in rows:
            found.append(
                CityCount.model_validate({key: value.strip() for key, value in row.items() if value and value.strip()})
            )
            if found[-1].place not in web.network.place:
                raise BadCounts(_at(rows.line_num, language, N_("the network has no place %(what)s"), found[-1].place))
    except (ValidationError, csv.Error, AttributeError, TypeError) as error:
        where = str(error.errors()[0]["loc"][-1]) if isinstance(error, ValidationError) else str(error)
        raise BadCounts(_at(rows.line_num, language, N_("%(what)s is not as it should be"), where)) from error
    if not found:
        raise BadCounts(
            language.say(N_("The file has no rows. Its first line is: place,month,visits,satisfaction,answers"))
        )
    return found


def _decoded(content: bytes) -> str:
    """Return the text: UTF-8, or GB 18030 as Excel saves in China."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("gb18030", errors="replace")


def _at(line: int, language: Language, message: str, what: str) -> str:
    return language.say(
        N_("Line %(line)s: %(fault)s. Nothing was changed."), line=line, fault=language.say(message, what=what)
    )
