"""Files into Kafka: lines of events and tables, put together with the network that judges them."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

import orjson
from sqlalchemy import Engine

from config.settings import DEFAULTS
from rotation.facts.events import Edge
from rotation.feeds import carrying, event_lines, tables
from rotation.feeds.carrying import FeedReport, RejectedRecord, Translated
from rotation.feeds.destinations import Destinations, Say, edge_of, shown
from rotation.network import Network

MAPS = DEFAULTS.parent / "maps"


def show_lines(lines: Iterable[bytes], name: str, edge: Edge, say: Say) -> FeedReport:
    """Print the events that `rotation ingest` would send, and the lines that it or the worker would reject; keep nothing."""

    def translated() -> Iterator[Translated]:
        for piece in event_lines.pieces(lines, name):
            yield from [piece] if isinstance(piece, RejectedRecord) else orjson.loads(piece.value)

    return carrying.carry(carrying.checked(translated(), edge, f"file:{name}"), *shown(say))


def map_file(name: str) -> Path:
    """Return the column map at that path, or the preset of that name.

    Raises
    ------
    FileNotFoundError
        When there is neither; the message lists the presets.
    """
    presets = {path.stem: path for path in MAPS.glob("*.toml")}
    if Path(name).is_file():
        return Path(name)
    if name in presets:
        return presets[name]
    raise FileNotFoundError(f"no column map {name}; presets: {', '.join(sorted(presets))}")


def table_map(name: str, network: Network) -> tables.TableMap:
    """Read a column map by path or preset; without a zone of its own, times are in the network's."""
    chosen = tables.read_map(map_file(name))
    named = "timezone" in chosen.model_fields_set
    return chosen if named else chosen.model_copy(update={"timezone": network.network.timezone})


def import_table(
    engine: Engine,
    network: Network,
    carried: Destinations,
    file: Path,
    chosen: tables.TableMap,
    at: datetime | None = None,
) -> FeedReport:
    """Send the facts of a table's rows.

    Raises
    ------
    ValueError
        When the file as a whole cannot be read.
    """
    with engine.connect() as connection:
        edge = edge_of(network, connection)
    report, name = FeedReport(sheets=_sheets(file, chosen)), f"file:{file.name}"

    def counted(rows: tables.Rows) -> tables.Rows:
        for row in rows:
            report.captions += isinstance(row, tables.Caption)
            report.read += not isinstance(row, tables.Caption)
            yield row

    def passed_over(_: tables.TableRow) -> None:
        report.passed_over += 1

    translated = tables.translate(file, chosen, at, counted, passed_over)
    return carrying.carry(map(carrying.in_its_file, carrying.checked(translated, edge, name)), *carried, report)


def _sheets(file: Path, chosen: tables.TableMap) -> dict[str, str | list[str]]:
    """Return which sheet of a workbook of several is read, and which are not, for the report."""
    choice = tables.sheet_choice(file, chosen)
    if choice is None or not choice.others:
        return {}
    found: dict[str, str | list[str]] = {"sheet": choice.sheet or "", "sheets_not_read": choice.others}
    return found | ({"sheets_with_these_columns": choice.also} if choice.also else {})


def check_table(file: Path, chosen: tables.TableMap, at: datetime | None) -> None:
    """Raise ValueError where the file as a whole cannot be used, before anything is started for it."""
    next(tables.translate(file, chosen, at), None)
