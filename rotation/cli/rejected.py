"""Rejected events: list them, and send them again."""

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from rotation.cli.context import beside
from rotation.cli.errors import BAD_INPUT, end, still_wrong
from rotation.cli.output import Json, answer, say, table

app = typer.Typer(no_args_is_help=True, help="Events that could not be applied.")


@app.command("list")
def list_rejections(
    as_json: Json = False, most: Annotated[int, typer.Option(min=1, help="How many at most.")] = 100
) -> None:
    """List rejected events, the newest first."""
    from rotation.facts.events import MAX_BATCH_BYTES
    from rotation.views.notices import rejections_of

    with beside() as system, system.engine.connect() as connection:
        found = rejections_of(connection, content=True, limit=most, shown_bytes=MAX_BATCH_BYTES)
        rows = [asdict(rejection) for rejection in found]
        answer(rows, as_json, table("id", "topic", "partition", "offset", "index", "reason", "field", "message"))


@app.command("replay")
def replay(
    number: Annotated[int | None, typer.Argument(help="The rejection's id.")] = None,
    mended: Annotated[Path | None, typer.Option(help="File with the corrected event; default: as received.")] = None,
    reason: Annotated[str, typer.Option(help="All that were rejected for this reason.")] = "",
    source: Annotated[str, typer.Option(help="All of this source.")] = "",
    since: Annotated[datetime | None, typer.Option(help="All that were rejected from then on, UTC.")] = None,
    until: Annotated[datetime | None, typer.Option(help="All that were rejected before then, UTC.")] = None,
) -> None:
    """Send rejected events again: an event, corrected or unchanged after the network was; or all of a reason, source or time."""
    from rotation.feeds import event_lines
    from rotation.store.rejections import ReplayChoice

    if (number is None) == (not (reason or source or since or until)):
        end("say one rejection's id, or --reason, --source, --since or --until", BAD_INPUT)
    if number is None:
        utc = [at.replace(tzinfo=UTC) if at else None for at in (since, until)]
        with beside(kafka=True) as system:
            again = event_lines.replay_all(
                system.engine, system.kafka(), ReplayChoice(reason, source, *utc), system.network
            )
        say(
            f"{again.sent} sent again, {again.still_wrong} would be rejected again"
            + "".join(map("\n{}".format, again.why))
        )
        return
    with beside(kafka=True) as system, still_wrong(number):
        event = mended.read_bytes() if mended else None
        event_lines.replay(system.engine, system.kafka(), number, event, system.network)
        say(f"rejection {number} sent again")
