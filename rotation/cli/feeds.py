"""Input: events and tables from files, library systems that are followed, SIP2, and real data from elsewhere."""

import sys
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rotation.cli.context import System, beside, import_into, load_settings, stop_on_signals
from rotation.cli.errors import FAILED, end, library_system, one_sentence
from rotation.cli.output import Json, answer, pairs, say, table

if TYPE_CHECKING:
    from rotation.feeds.carrying import FeedReport
    from rotation.feeds.write_back.system import LibrarySystem
    from rotation.store.heartbeats import Turned

app = typer.Typer()
import_app = typer.Typer(no_args_is_help=True, help="Real data from elsewhere.")
feed_app = typer.Typer(no_args_is_help=True, help="Library systems: what happens there becomes events here.")
sip2_app = typer.Typer(
    no_args_is_help=True, help="SIP2: sorters, self-service machines, and the library system behind them."
)

write_back_app = typer.Typer(
    no_args_is_help=True, help="Orders and scans written back to library systems, one process for each."
)

DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be sent, and send nothing.")]
Once = Annotated[bool, typer.Option("--once", help="Stop when everything there has been read.")]
FolioIds = Annotated[Path, typer.Option("--map", exists=True, dir_okay=False, help="FOLIO's ids (TOML).")]
FolioUrl = Annotated[str, typer.Option(envvar="FOLIO_URL", help="Address of FOLIO's API.")]
FolioUser = Annotated[str, typer.Option(envvar="FOLIO_USER", help="User of FOLIO's API.")]
FolioPassword = Annotated[
    str, typer.Option(envvar="FOLIO_PASSWORD", help="The user's password; set it in the environment.")
]
KohaBranches = Annotated[Path, typer.Option("--map", exists=True, dir_okay=False, help="Koha's branches (TOML).")]
KohaUrl = Annotated[str, typer.Option(envvar="KOHA_DATABASE_URL", help="mysql://user:password@host:port/database")]
Begin = Annotated[datetime | None, typer.Option("--from", help="Read again from this day on; nothing happens twice.")]
HOUR_S = 3600


@app.command()
def ingest(
    file: Annotated[Path, typer.Argument(help="JSON lines of CloudEvents, or - for standard input.")],
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Send events through Kafka and wait until they are applied. Lines that cannot be sent are recorded as rejections."""
    from rotation.feeds import destinations, file_imports
    from rotation.feeds.event_lines import ingest_lines

    with one_sentence(), sys.stdin.buffer if str(file) == "-" else file.open("rb") as lines:
        if dry_run:
            with beside() as system:
                with system.engine.connect() as connection:
                    edge = destinations.edge_of(system.network, connection)
                answer(file_imports.show_lines(lines, file.name, edge, print).as_dict(), as_json, pairs)
            return
        with import_into() as importing:
            sent, refused = ingest_lines(lines, file.name, importing.kafka(), importing.engine)
            outcome = {"lines_sent": sent, "lines_refused": refused} | importing.applied(None)
            answer(outcome, as_json, pairs)


@import_app.command("librarieswest")
def import_librarieswest(
    folder: Annotated[
        Path, typer.Argument(exists=True, file_okay=False, help="Folder with branches.csv, in_transit/ ...")
    ],
    until: Annotated[str | None, typer.Option(help="Stop after the file of this date, such as 2020-03-11.")] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Load LibrariesWest's real days of March 2020 through Kafka, and show the figures after them."""
    from rotation.cli.historic_import import import_days, show_days

    with one_sentence():
        figures = show_days(folder, until, print) if dry_run else import_days(load_settings(), folder, until, say)
        answer(figures, as_json, pairs)


@import_app.command("table")
def import_table(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="CSV, XLSX or JSON lines.")],
    column_map: Annotated[str, typer.Option("--map", help="Column map (TOML), or the name of a preset.")],
    at: Annotated[
        datetime | None,
        typer.Option(help="When a stock table was taken, in the time zone of the map or else the network."),
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Import a table that another system exported."""
    from zoneinfo import ZoneInfo

    from rotation import network as networks
    from rotation.feeds import destinations, file_imports

    with one_sentence():
        chosen = file_imports.table_map(column_map, networks.read(load_settings().network_file()))
        taken = at.replace(tzinfo=ZoneInfo(chosen.timezone)) if at else None
        file_imports.check_table(file, chosen, taken)
    if dry_run:
        with beside() as system:
            report = file_imports.import_table(
                system.engine, system.network, destinations.shown(print), file, chosen, taken
            )
            answer(report.as_dict(), as_json, pairs)
        return
    with import_into() as importing:
        with destinations.destinations(importing.settings, importing.engine) as ends:
            report = file_imports.import_table(importing.engine, importing.network, ends, file, chosen, taken)
        answer(report.as_dict() | importing.applied(report.sent.total()), as_json, pairs)


@feed_app.command("folio")
def feed_folio(
    column_map: FolioIds,
    bootstrap: Annotated[
        str | None, typer.Option(envvar="FOLIO_KAFKA", help="FOLIO's own Kafka; default: the same as ours.")
    ] = None,
    begin: Begin = None,
    once: Once = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Follow FOLIO's Kafka topics."""
    from zoneinfo import ZoneInfo

    from config.kafka import client
    from rotation.feeds import destinations, folio_feed
    from rotation.feeds.folio import read_map

    with beside(kafka=not (dry_run and bootstrap)) as system:
        chosen, stop = read_map(column_map), stop_on_signals()
        arguments = {"bootstrap_servers": bootstrap.split(",")} if bootstrap else client(system.settings)
        begin = begin and begin.replace(tzinfo=ZoneInfo(system.network.network.timezone))
        if not (once or dry_run):
            attempt = folio_feed.folio_follower(system.settings, system.engine, chosen, arguments, stop, say, begin)
            _stay_up(system, chosen.source, attempt, stop, as_json)
            return
        reader = folio_feed.folio_reader(arguments, None if dry_run else folio_feed.folio_group(chosen))
        changed, offsets = ([], {}) if dry_run else folio_feed.take_folio_map(system.engine, chosen)
        for sentence in changed:
            say(sentence)
        with library_system(), destinations.opened(system.settings, system.engine, dry_run, print) as ends:
            rewind = folio_feed.Rewind(offsets, begin, skip=dry_run)
            report = folio_feed.follow_folio(
                reader, chosen, ends, stop, to_the_end=True, commit=not dry_run, rewind=rewind
            )
        reader.close()
        answer(report.as_dict(), as_json, pairs)


def _stay_up(system: System, source: str, attempt: Any, stop: Event, as_json: bool) -> None:
    """Follow until a signal; a system that is away is waited for, and named here and on the page."""
    from rotation.feeds import destinations, staying

    with destinations.heard(system.settings, source) as turn:
        report = staying.stay_up(attempt, stop, staying.Outage(system.engine, source), say, turn)
    if report is not None:
        answer(report.as_dict(), as_json, pairs)


@feed_app.command("folio-reconcile")
def feed_folio_reconcile(
    column_map: FolioIds,
    url: FolioUrl,
    user: FolioUser = "",
    password: FolioPassword = "",
    every_hours: Annotated[float | None, typer.Option("--every", min=0.1, help="Repeat after this many hours.")] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Compare FOLIO's items with the stock known here, and correct differences that FOLIO's events left."""
    from rotation.feeds import destinations, folio_reconciliation
    from rotation.feeds.folio import read_map

    with beside(kafka=not dry_run) as system:
        chosen, stop = read_map(column_map), stop_on_signals()
        reconcile = partial(folio_reconciliation.reconcile_by_api, system.engine, url, (user, password), chosen)
        if every_hours is None or dry_run:
            with library_system(), destinations.opened(system.settings, system.engine, dry_run, print) as ends:
                answer(reconcile(ends, keep=not dry_run).as_dict(), as_json, pairs)
            return

        def attempt(well: Callable[[], None], turn: "Turned") -> "FeedReport":
            turn(within_s=HOUR_S)
            with destinations.destinations(system.settings, system.engine) as ends:
                report = reconcile(ends)
            well()
            return report

        while not stop.is_set():
            _stay_up(system, f"{chosen.source}.reconcile", attempt, stop, as_json)
            stop.wait(every_hours * HOUR_S)


@feed_app.command("koha")
def feed_koha(
    column_map: KohaBranches,
    url: KohaUrl,
    begin: Begin = None,
    once: Once = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Follow Koha's statistics, transfers and items by reading its database."""
    from rotation.feeds import destinations, koha_feed
    from rotation.feeds.koha import read_map

    with beside(kafka=not dry_run) as system:
        chosen, stop = read_map(column_map), stop_on_signals()
        if begin and not dry_run:
            koha_feed.read_koha_from(system.engine, chosen, begin)
        if not (once or dry_run):
            attempt = koha_feed.koha_follower(system.settings, system.engine, chosen, url, stop, say)
            _stay_up(system, chosen.source, attempt, stop, as_json)
            return
        with library_system(), destinations.opened(system.settings, system.engine, dry_run, print) as ends:
            koha = koha_feed.koha_connection(url)
            changed = (
                koha_feed.map_changes(system.engine, chosen) if dry_run else koha_feed.take_map(system.engine, chosen)
            )
            for sentence in (*koha_feed.koha_inspected(koha), *changed):
                say(sentence)
            report = koha_feed.follow_koha(system.engine, koha, chosen, ends, stop, once=True, keep=not dry_run)
        answer(report.as_dict(), as_json, pairs)


check_app = typer.Typer(
    no_args_is_help=True, help="A library system's present beside ours, copy by copy: every difference."
)
feed_app.add_typer(check_app, name="check")


@check_app.command("koha")
def check_koha(
    column_map: KohaBranches,
    url: KohaUrl,
    as_json: Json = False,
) -> None:
    """Compare Koha's copies and holds with those known here; ends with 1 where any differs. Nothing is sent."""
    from contextlib import closing

    from rotation.feeds import koha_feed
    from rotation.feeds.koha import read_map

    with beside() as system, library_system(), closing(koha_feed.koha_connection(url)) as koha:
        found = [one._asdict() for one in koha_feed.koha_differences(system.engine, koha, read_map(column_map))]
    _end_with(found, as_json)


@check_app.command("folio")
def check_folio(
    column_map: FolioIds,
    url: FolioUrl,
    user: FolioUser = "",
    password: FolioPassword = "",
    as_json: Json = False,
) -> None:
    """Compare FOLIO's items with the copies known here; ends with 1 where any differs. Nothing is sent."""
    from rotation.feeds import folio_reconciliation
    from rotation.feeds.folio import read_map

    with beside() as system, library_system():
        found = folio_reconciliation.folio_differences(system.engine, url, (user, password), read_map(column_map))
    _end_with(found, as_json)


def _end_with(differences: list[dict[str, Any]], as_json: bool) -> None:
    answer(differences, as_json, table("copy", "theirs", "here"))
    say(f"{len(differences)} differences")
    if differences:
        raise typer.Exit(FAILED)


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
    """Stand between sorters and the library system, and let placement direct the items that are checked in."""
    import asyncio

    from rotation.feeds.sip2.serving import serve_sip2

    with one_sentence(), library_system():
        show = partial(print, flush=True) if dry_run else None
        asyncio.run(serve_sip2(listen, system, column_map, page, token, say, show))


@sip2_app.command("item")
def sip2_item(
    item: Annotated[str, typer.Argument(help="Barcode.")],
    system: Address,
    institution: Annotated[str, typer.Option(help="Institution id, if the system asks for it.")] = "",
    encoding: Annotated[str, typer.Option(help="How texts are written: latin-1, utf-8, gb18030 or big5.")] = "latin-1",
    user: Annotated[str, typer.Option(envvar="SIP2_USER", help="If the system wants machines to log in.")] = "",
    password: Annotated[
        str, typer.Option(envvar="SIP2_PASSWORD", help="The user's password; set it in the environment.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Ask the library system where an item is: the simplest test of SIP2."""
    from rotation.feeds.sip2 import Client
    from rotation.feeds.sip2.serving import host_port

    with one_sentence(), library_system(), Client(*host_port(system), institution, encoding=encoding) as client:
        if user and not client.login(user, password):
            end(f"the library system refused the login of {user}", FAILED)
        answer(client.item_information(item)._asdict(), as_json, pairs)


# --- Write-back ---------------------------------------------------------------------------------------------------------------

WriteBackMap = Annotated[Path, typer.Option("--map", exists=True, dir_okay=False, help="Places and kinds (TOML).")]
API_ANSWER_S = 20.0


@write_back_app.command("sip2")
def write_back_sip2(
    chosen: WriteBackMap,
    user: Annotated[str, typer.Option(envvar="SIP2_USER", help="User of the login, if there is one.")] = "",
    password: Annotated[str, typer.Option(envvar="SIP2_PASSWORD", help="Set it in the environment.")] = "",
) -> None:
    """Check copies in by SIP2 when our pages receive them."""
    from rotation.feeds.write_back import sip2

    with one_sentence():
        system = sip2.Sip2System(sip2.read_map(chosen), user, password)
    _write_back(system)


@write_back_app.command("koha")
def write_back_koha(
    chosen: WriteBackMap,
    url: Annotated[str, typer.Option(envvar="KOHA_API_URL", help="Address of Koha's staff interface.")],
    client: Annotated[str, typer.Option(envvar="KOHA_API_CLIENT", help="Client id of an API key.")],
    secret: Annotated[str, typer.Option(envvar="KOHA_API_SECRET", help="Its secret; set it in the environment.")],
) -> None:
    """Place holds of ordered copies and change copies' homes by Koha's REST API."""
    import httpx

    from rotation.feeds.write_back import koha

    with one_sentence():
        system = koha.KohaSystem(
            koha.read_map(chosen), httpx.Client(base_url=url, timeout=API_ANSWER_S), client, secret
        )
    _write_back(system)


@write_back_app.command("folio")
def write_back_folio(
    chosen: WriteBackMap,
    url: Annotated[str, typer.Option(envvar="FOLIO_URL", help="Address of FOLIO's API.")],
    user: Annotated[str, typer.Option(envvar="FOLIO_USER", help="User of FOLIO's API.")],
    password: Annotated[str, typer.Option(envvar="FOLIO_PASSWORD", help="Set it in the environment.")],
) -> None:
    """Check copies in and change their locations by FOLIO's API."""
    import httpx

    from rotation.feeds.write_back import folio

    with one_sentence():
        client = httpx.Client(base_url=url, timeout=API_ANSWER_S)
        system = folio.FolioSystem(folio.read_map(chosen), client, user, password)
    _write_back(system)


def _write_back(system: "LibrarySystem") -> None:
    from rotation.facts.parts import Part
    from rotation.feeds.write_back import writing
    from rotation.store.heartbeats import Pulse

    database, stop = load_settings().database_address(), stop_on_signals()
    with Pulse(database, Part.WRITE_BACK, system.name) as pulse:
        writing.run(database, system, stop, pulse.turn)
