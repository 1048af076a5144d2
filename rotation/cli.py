"""The command line: one command for each thing a person can do, each a few lines over the function that does it.

`--json` where a program may read the answer. Errors are one sentence on standard error; exit code 2 for input that cannot
be used, 1 for what went wrong on our side.
"""

import json
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from threading import Event
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

app = typer.Typer(
    no_args_is_help=True, pretty_exceptions_enable=False, help="Rotation: a city's library stock on the move."
)
network_app = typer.Typer(no_args_is_help=True, help="The network file.")
rejected_app = typer.Typer(no_args_is_help=True, help="Events that could not be applied.")
db_app = typer.Typer(no_args_is_help=True, help="The database.")
topics_app = typer.Typer(no_args_is_help=True, help="Kafka's topics.")
feed_app = typer.Typer(no_args_is_help=True, help="Library systems: what happens there becomes events here.")
sip2_app = typer.Typer(
    no_args_is_help=True, help="SIP2: sorters, self-service machines, and the library system behind them."
)
set_app = typer.Typer(no_args_is_help=True, help="Sets that somebody asks for: an exhibition, a school's deposit.")
config_app = typer.Typer(no_args_is_help=True, help="Settings.")
import_app = typer.Typer(no_args_is_help=True, help="Real data from elsewhere.")
for name, sub in (
    ("network", network_app),
    ("rejected", rejected_app),
    ("db", db_app),
    ("topics", topics_app),
    ("config", config_app),
    ("import", import_app),
    ("feed", feed_app),
    ("sip2", sip2_app),
    ("set", set_app),
):
    app.add_typer(sub, name=name)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program.")]
BAD_INPUT, FAILED = 2, 1


def say(text: str) -> None:
    """Print for people, beside the answer."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def one_sentence() -> Iterator[None]:
    """End with one sentence and a code instead of a traceback, for what people can mend."""
    try:
        yield
    except Exception as error:
        known = next((row for row in _mendable() if isinstance(error, row[0])), None)
        if known is None:
            raise
        _, code, words = known
        _end(words(error), code)


def _mendable() -> Sequence[tuple[Any, int, Callable[[Any], str]]]:
    """Return what people can mend: the error, the exit code, and its words; the first that fits counts."""
    from pydantic import ValidationError
    from sqlalchemy.exc import OperationalError

    from infra.messages import ServerError
    from rotation.planner import AnotherPlans
    from solver.roadmap import TravelError

    return (
        ((AnotherPlans, TravelError), FAILED, str),
        (ValidationError, BAD_INPUT, _settings_that_are_wrong),
        ((ValueError, FileNotFoundError), BAD_INPUT, str),
        (ServerError, FAILED, lambda error: f"{error.message.text()}\n{error.message.text('zh')}"),
        (OperationalError, FAILED, lambda error: f"the database does not answer: {error.orig}"),
    )


def _settings_that_are_wrong(error: Any) -> str:
    return "\n".join(
        f"{' '.join(filter(None, ('setting', '.'.join(map(str, one['loc'])))))}: {one['msg']}" for one in error.errors()
    )


@contextmanager
def library_system() -> Iterator[None]:
    """End with one sentence where the library system cannot be reached, or does not let us in."""
    from httpx import HTTPError, HTTPStatusError
    from kafka.errors import KafkaError
    from pymysql.err import MySQLError

    try:
        yield
    except HTTPStatusError as error:
        request, status = error.request, error.response.status_code
        _end(f"the library system answered {status} to {request.method} {request.url.path}", FAILED)
    except (HTTPError, OSError, MySQLError, KafkaError) as error:
        _end(f"the library system cannot be reached: {error}", FAILED)


@contextmanager
def still_wrong(number: int) -> Iterator[None]:
    """End with a sentence where a rejection is not there, or would be rejected again."""
    from rotation.store.rejections import StillWrong

    try:
        yield
    except LookupError as error:
        _end(error.args[0], BAD_INPUT)
    except StillWrong as error:
        _end(f"nothing was sent: rejection {number} would be rejected again: {error}", BAD_INPUT)


def _end(sentence: str, code: int) -> None:
    say(sentence)
    raise typer.Exit(code)


def _settings() -> Any:
    from config import load

    return load()


@contextmanager
def _beside(*, kafka: bool = False) -> Iterator[tuple[Any, Any, Any]]:
    """Yield settings, network and engine of the running system, or of servers started for this command alone."""
    from rotation import bootstrap, network
    from rotation.store import migrate
    from rotation.store.engine import engine

    with one_sentence(), bootstrap.beside(_settings(), lambda message: say(message.text()), kafka=kafka) as settings:
        url = settings.database_address()
        migrate.upgrade(url)
        yield settings, network.read(settings.network_file()), engine(url)


def _kafka(settings: Any) -> Any:
    """Return how Kafka is reached, its topics made where they are missing."""
    from config.kafka import client
    from streams import admin

    admin.create(client(settings), replication=settings.kafka_replication)
    return client(settings)


def _print(answer: Any, as_json: bool, otherwise: Callable[[Any], None]) -> None:
    if as_json:
        print(json.dumps(answer, default=str, ensure_ascii=False))
    else:
        otherwise(answer)


def _pairs(answer: dict[str, Any]) -> None:
    table = Table(show_header=False, box=None)
    for key, value in answer.items():
        table.add_row(
            key, json.dumps(value, default=str, ensure_ascii=False) if isinstance(value, list | dict) else str(value)
        )
    Console().print(table)


def _stop_on_signals() -> Event:
    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


# --- The whole --------------------------------------------------------------------------------------------------------


@app.command()
def run(
    seconds: Annotated[float | None, typer.Option("--for", min=1, help="Stop by itself after so many seconds.")] = None,
    as_json: Json = False,
) -> None:
    """Start everything, with the demonstration city, and let the days go round."""
    from rotation.demonstration import run as run_all
    from rotation.terminal import Terminal

    terminal = Terminal(quiet=as_json)
    with one_sentence():
        figures = run_all(_settings(), seconds, terminal, _stop_on_signals())
    _print(figures, as_json, lambda f: terminal.step(f"Stopped; {f['missing']} events missing / 已停止"))


@app.command()
def serve() -> None:
    """Start everything for your own network, or one that was imported: all but the demonstration city."""
    from rotation.serving import serve as serve_all
    from rotation.terminal import Terminal

    with one_sentence():
        serve_all(_settings(), Terminal(quiet=False).step, _stop_on_signals())


@app.command()
def status(as_json: Json = False) -> None:
    """Show how things stand."""
    from rotation.status import figures

    with _beside() as (_, network, engine):
        _print(figures(engine, network.timezone), as_json, _pairs)


@app.command()
def planner() -> None:
    """Plan night after night (a part of the running system)."""
    import structlog

    from rotation import network as networks
    from rotation.planner import nights
    from rotation.store.engine import engine

    settings = _settings()
    stop, log = _stop_on_signals(), structlog.get_logger()
    database = engine(settings.database_address())
    nights(
        database,
        networks.read(settings.network_file()),
        settings,
        stop,
        lambda report: log.info("planned", report=report),
    )


@app.command()
def plan(
    day: Annotated[
        datetime | None, typer.Option("--date", formats=["%Y-%m-%d"], help="The day; default: today.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Plan a day now: what moves, and which vans carry it."""
    from dataclasses import asdict

    from rotation.planner import plan_night
    from rotation.store.clock import read_clock

    with _beside() as (settings, network, engine):
        with engine.connect() as connection:
            today = network.day_of(read_clock(connection).now())
        report = plan_night(engine, network, settings, day.date() if day else today)
        _print(asdict(report), as_json, _pairs)


@app.command()
def alerts(
    everything: Annotated[bool, typer.Option("--all", help="Closed ones too.")] = False, as_json: Json = False
) -> None:
    """List alerts, the newest first."""
    from sqlalchemy import select

    from rotation.store.tables import alerts as table

    with _beside() as (_, _network, engine), engine.connect() as connection:
        query = select(table).order_by(table.c.opened_at.desc(), table.c.alert_id)
        rows = connection.execute(query if everything else query.where(table.c.closed_at.is_(None)))
        _print(
            [dict(row._mapping) for row in rows], as_json, _table("kind", "place_id", "class", "opened_at", "numbers")
        )


def _table(*columns: str) -> Callable[[list[dict[str, Any]]], None]:
    def show(rows: list[dict[str, Any]]) -> None:
        table = Table(*columns)
        for row in rows:
            table.add_row(*(str(row[column]) for column in columns))
        Console().print(table)

    return show


@app.command()
def why(copy: Annotated[str, typer.Argument(help="The copy's id.")], as_json: Json = False) -> None:
    """Say why a copy moved, moves, or stays."""
    from rotation.why import of_copy

    def show(answer: dict[str, Any]) -> None:
        _pairs({name: answer[name] for name in ("copy", "title", "state", "place", "since")})
        for one in answer["transfers"]:
            said = "\n".join(f"{one['why'][code]} {one['worth'][code]}" for code in ("zh", "en"))
            Console().print(f"\n{one['from']} → {one['to']} ({one['kind']}, {one['status']})\n{said}", highlight=False)

    with _beside() as (_, _network, engine), engine.connect() as connection:
        _print(of_copy(connection, copy), as_json, show)


@app.command("why-not")
def why_not(
    title: Annotated[str, typer.Argument(help="The title's id.")],
    place: Annotated[str, typer.Argument(help="The place's id.")],
    as_json: Json = False,
) -> None:
    """Say why no copy of a title goes to a place, or which one does."""
    from rotation.why import not_there

    def show(answer: dict[str, Any]) -> None:
        Console().print(f"{answer['why']['zh']}\n{answer['why']['en']}", highlight=False)

    with _beside() as (settings, network, engine), engine.connect() as connection:
        _print(not_there(connection, network, settings, title, place), as_json, show)


@app.command()
def prices(
    place: Annotated[str, typer.Argument(help="A place's id; default: all.")] = "", as_json: Json = False
) -> None:
    """Show the last night's prices, floors, and the purchase and weeding lists."""
    from dataclasses import asdict

    from rotation.web.night import last

    def show(answer: dict[str, Any]) -> None:
        lists = ("floors", "shelves", "purchases", "weeding")
        _pairs({name: value for name, value in answer.items() if name not in lists})
        for name in lists:
            Console().print(f"\n{name}", highlight=False)
            _table(*(answer[name][0] if answer[name] else ()))(list(answer[name]))

    with _beside() as (_, _network, engine), engine.connect() as connection:
        found = last(connection, place)
        if found is None:
            _end("no night has been planned yet: `rotation plan` makes one", BAD_INPUT)
        else:
            _print(asdict(found), as_json, show)


@app.command()
def owners(as_json: Json = False) -> None:
    """Show what owners owe each other: copies that stand with another owner."""
    from dataclasses import asdict

    from rotation.owners import balances

    with _beside() as (_, network, engine), engine.connect() as connection:
        rows = [asdict(one) | {"owed": one.owed} for one in balances(connection, network)]
        _print(rows, as_json, _table("lender", "borrower", "lent", "borrowed", "owed"))


@app.command()
def standards(as_json: Json = False) -> None:
    """List the figures of standards and practice that floors may name; one without a value is not known."""
    from config.figures import figures

    with one_sentence():
        rows = [one.model_dump() | {"about": one.about.zh, "unit": one.unit.zh} for one in figures().values()]
        known = [row | {"value": "未知 unknown" if row["value"] is None else row["value"]} for row in rows]
        _print(rows if as_json else known, as_json, _table("id", "value", "unit", "about", "source", "date"))


# --- Sets -------------------------------------------------------------------------------------------------------------


@set_app.command("ask")
def set_ask(
    place: Annotated[str, typer.Argument(help="The place's id.")],
    due: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="It is to stand there by this day.")],
    title: Annotated[list[str] | None, typer.Option(help="A title's id; as often as there are titles.")] = None,
    title_class: Annotated[str | None, typer.Option("--class", help="Or a class, of titles new to the place.")] = None,
    copies: Annotated[int, typer.Option(help="So many of the class.")] = 0,
    return_on: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The day it goes back.")] = None,
    note: Annotated[str, typer.Option(help="What it is for.")] = "",
) -> None:
    """Ask for a set of titles, or of so many copies of a class that are new to a place."""
    from rotation import sets
    from rotation.store.clock import read_clock

    until = return_on.date() if return_on else None
    asked = sets.Asked(place, due.date(), title or (), title_class, copies, until, note)
    with _beside() as (_, network, engine), engine.begin() as connection:
        now = read_clock(connection).now()
        say(sets.ask(connection, network, asked, who="command line", at=now))


@set_app.command("list")
def set_list(as_json: Json = False) -> None:
    """List the sets and how far each has come."""
    from dataclasses import asdict

    from rotation.sets import standing

    with _beside() as (_, _network, engine), engine.connect() as connection:
        columns = ("set_id", "place_id", "title_class", "due", "return_on", "copies", "come", "coming", "note")
        _print([asdict(one) for one in standing(connection)], as_json, _table(*columns))


@set_app.command("cancel")
def set_cancel(set_id: Annotated[str, typer.Argument(help="The set's id.")]) -> None:
    """Gather no more of a set; what has come becomes ordinary stock."""
    from rotation.sets import cancel
    from rotation.store.clock import read_clock

    with _beside() as (_, _network, engine), engine.begin() as connection:
        cancel(connection, set_id, read_clock(connection).now())
        say(f"{set_id} is not gathered any more")


@app.command("visits")
def list_visits(as_json: Json = False) -> None:
    """List the visits by appointment that were announced from today on."""
    from dataclasses import asdict

    from rotation.store.clock import read_clock
    from rotation.visits import coming

    with _beside() as (_, network, engine), engine.connect() as connection:
        today = network.day_of(read_clock(connection).now())
        columns = ("place_id", "day", "announced_at", "take", "bring")
        _print([asdict(one) for one in coming(connection, today)], as_json, _table(*columns))


@app.command("received")
def crate_received(crate: Annotated[str, typer.Argument(help="The label on the crate.")]) -> None:
    """Receive all copies of a crate, where nobody scans them one by one."""
    from rotation.dispatch.receipts import receive
    from rotation.store.clock import read_clock
    from rotation.store.engine import driver

    with _beside() as (_, _network, engine), engine.begin() as connection:
        say(f"{receive(driver(connection), crate, read_clock(connection).now())} received")


@app.command("what-if")
def what_if(
    moves: Annotated[int | None, typer.Option(help="Moves a day.")] = None,
    move_price: Annotated[float | None, typer.Option(help="Loans that a move must bring beyond its costs.")] = None,
    equity: Annotated[float | None, typer.Option(help="Alpha of the equity weights; 0: none.")] = None,
    fresh_bonus: Annotated[float | None, typer.Option(help="Loans that a fresh copy of a quota is worth.")] = None,
    floor_bonus: Annotated[float | None, typer.Option(help="Loans that a copy of a special shelf is worth.")] = None,
    capacity: Annotated[list[str] | None, typer.Option(help="PLACE=TIMES what it takes in and gives away.")] = None,
    closed: Annotated[list[str] | None, typer.Option(help="A place that no copy comes to or leaves.")] = None,
    add: Annotated[list[str] | None, typer.Option(help="ID=LAT,LON[,TIER] of a place that there is not yet.")] = None,
    move: Annotated[list[str] | None, typer.Option(help="PLACE=LAT,LON where it would stand.")] = None,
    day: Annotated[
        datetime | None, typer.Option("--date", formats=["%Y-%m-%d"], help="Another day than today.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Plan the day as it is and with a change, beside each other; nothing is kept."""
    from rotation.rebalancing.what_if import Change
    from rotation.what_if import additions, beside_todays, capacities, journeys

    def show(answer: dict[str, Any]) -> None:
        for name in ("as_is", "changed", "arrivals"):
            Console().print(f"\n{name}", highlight=False)
            _pairs(answer[name])
        Console().print(f"\n{answer['what']['zh']}\n{answer['what']['en']}", highlight=False)

    change = Change(moves, move_price, equity, fresh_bonus, floor_bonus)
    with _beside() as (settings, network, engine), engine.connect() as connection:
        limits, when = capacities(capacity or ()), day.date() if day else None
        made = beside_todays(
            connection,
            network,
            settings,
            change,
            capacity=limits,
            closed=closed or (),
            added=additions(add or ()),
            moved=journeys(move or ()),
            day=when,
        )
        _print(made, as_json, show)


# --- Input ------------------------------------------------------------------------------------------------------------


DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be sent, and send nothing.")]


@app.command()
def ingest(
    file: Annotated[Path, typer.Argument(help="JSON lines of CloudEvents, or - for standard input.")],
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Send events to Kafka; what cannot be sent is recorded with the rejections."""
    from rotation import feeds
    from streams.ingest import ingest_lines

    with (
        _beside(kafka=not dry_run) as (settings, network, engine),
        sys.stdin.buffer if str(file) == "-" else file.open("rb") as lines,
    ):
        if dry_run:
            with engine.connect() as connection:
                edge = feeds.edge_of(network, connection)
            _print(feeds.show_lines(lines, file.name, edge, print).as_dict(), as_json, _pairs)
        else:
            sent, refused = ingest_lines(lines, file.name, _kafka(settings), engine)
            say(f"{sent} events sent, {refused} refused at once (see: rotation rejected list)")


@rejected_app.command("list")
def rejected_list(
    as_json: Json = False, most: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100
) -> None:
    """List rejected events, the newest first."""
    from rotation.store.engine import driver
    from rotation.store.rejections import listed

    with _beside() as (_, _network, engine), engine.connect() as connection:
        rows = [row._asdict() for row in listed(driver(connection).cursor(), limit=most)]
        for row in rows:
            row["original"] = bytes(row["original"]).decode("utf-8", "backslashreplace")
        columns = ("id", "topic", "partition", "offset", "index", "reason", "field", "message")
        _print(rows, as_json, _table(*columns))


@rejected_app.command("replay")
def rejected_replay(
    number: Annotated[int, typer.Argument(help="The rejection's id.")],
    mended: Annotated[Path | None, typer.Option(help="File with the mended event; default: as it was.")] = None,
) -> None:
    """Send a rejected event again, mended or because what was wrong with the network is mended."""
    from streams.ingest import replay

    with _beside(kafka=True) as (settings, network, engine), still_wrong(number):
        replay(engine, _kafka(settings), number, mended.read_bytes() if mended else None, network)
        say(f"rejection {number} sent again")


@import_app.command("librarieswest")
def import_librarieswest(
    folder: Annotated[
        Path, typer.Argument(exists=True, file_okay=False, help="Folder with branches.csv, in_transit/ ...")
    ],
    until: Annotated[str | None, typer.Option(help="Stop after the file of this date, such as 2020-03-11.")] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Load LibrariesWest's real days of March 2020 through Kafka, and show how things stand then."""
    from rotation.real_days import import_days, show_days

    with one_sentence():
        if dry_run:
            _print(show_days(folder, until, print), as_json, _pairs)
        else:
            _print(import_days(_settings(), folder, until, lambda text: say(text)), as_json, _pairs)


@import_app.command("table")
def import_table(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="CSV, XLSX or JSON lines.")],
    column_map: Annotated[str, typer.Option("--map", help="Column map (TOML), or the name of a preset.")],
    at: Annotated[datetime | None, typer.Option(help="When a stock table was taken, in its map's time zone.")] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Tell what a table of another system says."""
    from zoneinfo import ZoneInfo

    from rotation import feeds
    from rotation.adapters.tables import read_map

    with _beside(kafka=not dry_run) as (settings, network, engine):
        chosen = read_map(feeds.map_file(column_map))
        taken = at.replace(tzinfo=ZoneInfo(chosen.timezone)) if at else None
        with feeds.opened(settings, engine, dry_run, print) as ends:
            report = feeds.import_table(engine, network, ends, file, chosen, taken)
        _print(report.as_dict(), as_json, _pairs)


Once = Annotated[bool, typer.Option("--once", help="Stop at the end of what is there.")]


@feed_app.command("folio")
def feed_folio(
    column_map: Annotated[Path, typer.Option("--map", exists=True, dir_okay=False, help="FOLIO's ids (TOML).")],
    bootstrap: Annotated[
        str | None, typer.Option(envvar="FOLIO_KAFKA", help="FOLIO's own Kafka; default: the same as ours.")
    ] = None,
    once: Once = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Follow FOLIO's Kafka topics."""
    from config.kafka import client
    from rotation import feeds
    from rotation.adapters.folio import read_map

    with _beside(kafka=not (dry_run and bootstrap)) as (settings, _network, engine):
        chosen, stop = read_map(column_map), _stop_on_signals()
        arguments = {"bootstrap_servers": bootstrap.split(",")} if bootstrap else client(settings)
        reader = feeds.folio_reader(arguments, None if dry_run else feeds.FOLIO_GROUP)
        with library_system(), feeds.opened(settings, engine, dry_run, print) as ends:
            report = feeds.follow_folio(reader, chosen, ends, stop, to_the_end=once or dry_run, commit=not dry_run)
        reader.close()
        _print(report.as_dict(), as_json, _pairs)


@feed_app.command("folio-reconcile")
def feed_folio_reconcile(
    column_map: Annotated[Path, typer.Option("--map", exists=True, dir_okay=False, help="FOLIO's ids (TOML).")],
    url: Annotated[str, typer.Option(envvar="FOLIO_URL", help="Address of FOLIO's API.")],
    user: Annotated[str, typer.Option(envvar="FOLIO_USER")] = "",
    password: Annotated[str, typer.Option(envvar="FOLIO_PASSWORD", help="Set it in the environment.")] = "",
    every_hours: Annotated[float | None, typer.Option("--every", min=0.1, help="Again after so many hours.")] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Compare FOLIO's items with what is known here, and mend what its events lost."""
    from rotation import feeds
    from rotation.adapters.folio import read_map

    with _beside(kafka=not dry_run) as (settings, _network, engine):
        chosen, stop = read_map(column_map), _stop_on_signals()
        with library_system(), feeds.opened(settings, engine, dry_run, print) as ends:
            while True:
                report = feeds.reconcile_by_api(engine, url, (user, password), chosen, ends, keep=not dry_run)
                _print(report.as_dict(), as_json, _pairs)
                if every_hours is None or stop.wait(every_hours * 3600):
                    return


@feed_app.command("koha")
def feed_koha(
    column_map: Annotated[Path, typer.Option("--map", exists=True, dir_okay=False, help="Koha's branches (TOML).")],
    url: Annotated[str, typer.Option(envvar="KOHA_DATABASE_URL", help="mysql://user:password@host:port/database")],
    once: Once = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Follow Koha's statistics, transfers and items by reading its database."""
    from rotation import feeds
    from rotation.adapters.koha import read_map

    with _beside(kafka=not dry_run) as (settings, _network, engine):
        chosen, stop = read_map(column_map), _stop_on_signals()
        with library_system(), feeds.opened(settings, engine, dry_run, print) as ends:
            koha = feeds.koha_connection(url)
            report = feeds.follow_koha(engine, koha, chosen, ends, stop, once=once or dry_run, keep=not dry_run)
        _print(report.as_dict(), as_json, _pairs)


Address = Annotated[str, typer.Option(help="host:port of the library system's SIP2.")]


@sip2_app.command("proxy")
def sip2_proxy(
    system: Address,
    column_map: Annotated[Path, typer.Option("--map", exists=True, dir_okay=False, help="SIP2's locations (TOML).")],
    page: Annotated[str, typer.Option(help="Address of the page, which answers for placement.")],
    token: Annotated[str, typer.Option(envvar="ROTATION_TOKEN", help="A desk's token; set it in the environment.")],
    listen: Annotated[str, typer.Option(help="host:port to listen on.")] = "127.0.0.1:6001",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be changed, and change nothing.")] = False,
) -> None:
    """Stand between sorters and the library system, and let placement direct what is checked in."""
    import asyncio

    from rotation.feeds import serve_sip2

    with one_sentence(), library_system():
        show = partial(print, flush=True) if dry_run else None
        asyncio.run(serve_sip2(listen, system, column_map, page, token, say, show))


@sip2_app.command("item")
def sip2_item(
    item: Annotated[str, typer.Argument(help="Barcode.")],
    system: Address,
    institution: Annotated[str, typer.Option()] = "",
    user: Annotated[str, typer.Option(envvar="SIP2_USER", help="Where the system wants machines to log in.")] = "",
    password: Annotated[str, typer.Option(envvar="SIP2_PASSWORD", help="Set it in the environment.")] = "",
    as_json: Json = False,
) -> None:
    """Ask the library system where an item is: the simplest try whether SIP2 works."""
    from rotation.adapters.sip2 import Client
    from rotation.feeds import host_port

    with one_sentence(), library_system(), Client(*host_port(system), institution) as client:
        if user and not client.login(user, password):
            _end(f"the library system does not let {user} in", FAILED)
        _print(client.item_information(item)._asdict(), as_json, _pairs)


@app.command()
def routes(
    first: Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="First day.")],
    days: Annotated[int, typer.Option(min=1, max=28)] = 3,
    keep: Annotated[bool, typer.Option("--keep", help="Write the runs as drafts: the page shows these days.")] = False,
    as_json: Json = False,
) -> None:
    """Schedule what waits on the days that follow, without ordering anything."""
    from rotation.real_days import schedule_days

    with _beside() as (settings, network, engine):
        report = schedule_days(engine, network, settings, first.date(), days, keep=keep)
        _print(report, as_json, _pairs)
        if not report["complete"]:
            _end("the schedule leaves out copies that could be served; see not_scheduled", FAILED)


@network_app.command("check")
def network_check(file: Annotated[Path, typer.Argument(exists=True, dir_okay=False)]) -> None:
    """Tell every mistake of a network file, each with its line."""
    from rotation.network import read

    with one_sentence():
        network = read(file)
    say(
        f"{file.name}: {len(network.places)} places, {len(network.hubs)} hubs, {len(network.vans)} vans: no mistake found"
    )


# --- Upkeep -----------------------------------------------------------------------------------------------------------


@db_app.command("upgrade")
def db_upgrade() -> None:
    """Create or upgrade the tables, and take over the levels that the network file gives each place."""
    from rotation.store.targets import set_targets

    with _beside() as (_, network, engine), engine.begin() as connection:
        set_targets(connection, network)
        say("the database is up to date")


@db_app.command("roles")
def db_roles() -> None:
    """Create the least-privilege roles of worker, relay, planner and page, or bring them up to date."""
    from rotation.store.roles import grant

    with _beside() as (settings, _, _engine):
        say(f"granted: {', '.join(grant(settings.database_address()))}")


@app.command()
def audit() -> None:
    """Recount everything from the facts, and name what differs."""
    from rotation.store.audit import audit as differences_in
    from rotation.store.engine import driver

    with _beside() as (_, _network, engine), engine.connect() as connection:
        found = differences_in(driver(connection).cursor())
        if found:
            _end("\n".join(map(str, found)), FAILED)
        say("everything is as the facts add up")


@app.command()
def rebuild() -> None:
    """Empty the tables, replay every event from Kafka, and compare the result with what it replaces."""
    from streams.rebuild import NotKept
    from streams.rebuild import rebuild as replay_all

    with _beside(kafka=True) as (settings, network, _):
        url = settings.database_address()
        try:
            found = replay_all(url, _kafka(settings), network, lambda done, total: say(f"{done} of {total} messages"))
        except NotKept as gone:
            _end(str(gone), FAILED)
        if found:
            _end(
                "\n".join(f"{d.table}: {d.only_before} rows only before, {d.only_after} only after" for d in found),
                FAILED,
            )
        say("the rebuilt database equals what it replaces")


@topics_app.command("create")
def topics_create() -> None:
    """Create the topics that are missing."""
    from config.kafka import client
    from streams.admin import create

    with _beside(kafka=True) as (settings, _, _engine):
        made = create(client(settings), replication=settings.kafka_replication)
        say(f"created: {', '.join(made)}" if made else "all topics exist")


@topics_app.command("check")
def topics_check() -> None:
    """Compare the topics with their contracts; nothing is changed."""
    from config.kafka import client
    from streams.admin import check

    with _beside(kafka=True) as (settings, _, _engine):
        differences = check(client(settings))
        if differences:
            _end("\n".join(map(str, differences)), FAILED)
        say("all topics are as their contracts say")


@topics_app.command("rewind")
def topics_rewind() -> None:
    """Read another Kafka, or one that lost its end, from its beginning; what is known already counts as duplicate."""
    from config.kafka import client
    from rotation.store.engine import driver
    from streams.recount import rewind

    with _beside(kafka=True) as (settings, _, engine), engine.begin() as connection:
        rewound = rewind(client(settings), driver(connection).cursor())
        say(f"partitions to be read again: {rewound}" if rewound else "Kafka holds all that was read: nothing to do")


@topics_app.command("allow")
def topics_allow(role: str, user: str) -> None:
    """Give a Kafka user what worker, relay, planner, solver, web or source needs, on a broker with an authorizer."""
    from config.kafka import client
    from streams.acls import RIGHTS, allow

    if role not in RIGHTS:
        _end(f"no such role: {role}; there are {', '.join(RIGHTS)}", BAD_INPUT)
    with _beside(kafka=True) as (settings, _, _engine):
        try:
            say(f"{user} may do what {role} needs: {allow(client(settings), role, user)} rules")
        except PermissionError as refused:
            _end(str(refused), FAILED)


@config_app.command("show")
def config_show(as_json: Json = False) -> None:
    """Show each setting, its value, and where the value comes from; secrets are hidden."""
    from config.settings import shown

    with one_sentence():
        rows = [row._asdict() for row in shown(_settings())]
    _print(rows, as_json, _table("key", "value", "origin", "description"))
