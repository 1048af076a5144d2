"""Planning: a night now, night after night, a day beside a change, and runs for the days that follow."""

from datetime import datetime
from typing import Annotated, Any

import typer

from rotation.cli.context import beside, load_settings, stop_on_signals
from rotation.cli.errors import BAD_INPUT, FAILED, end
from rotation.cli.output import Json, answer, pairs, paragraph, say

app = typer.Typer()


@app.command()
def planner() -> None:
    """Plan night after night (a process of the running system)."""
    import structlog

    from rotation import network as networks
    from rotation.facts.parts import Part
    from rotation.night.loop import plan_nights
    from rotation.store.engine import engine
    from rotation.store.heartbeats import Pulse

    settings = load_settings()
    stop, log = stop_on_signals(), structlog.get_logger()
    database, network = engine(settings.database_address()), networks.read(settings.network_file())
    with Pulse(settings.database_address(), Part.PLANNER) as pulse:
        plan_nights(database, network, settings, stop, lambda report: log.info("planned", report=report), pulse.turn)


@app.command()
def deliver() -> None:
    """Send orders to webhooks and folders, alerts and digests to channels (a process of the running system)."""
    from threading import Thread

    from rotation import network as networks
    from rotation.facts.parts import Part
    from rotation.store.heartbeats import Pulse
    from streams import notify
    from streams.deliver import run

    settings, stop = load_settings(), stop_on_signals()
    url, network = settings.database_address(), networks.read(settings.network_file())
    channels = Thread(target=notify.run, args=(url, network, stop), name="channels")
    channels.start()
    with Pulse(url, Part.DELIVER) as pulse:
        run(url, stop, pulse.turn)
    channels.join()


@app.command()
def plan(
    day: Annotated[
        datetime | None, typer.Option("--date", formats=["%Y-%m-%d"], help="The day to plan; default: today.")
    ] = None,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Plan even if no stock is known or events wait to be applied.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Plan a day now: which copies move and which vans carry them. The report says how old the stock data is."""
    from dataclasses import asdict

    from rotation.night.run import plan_night
    from rotation.system.importing import has_loans, why_not_plan

    with beside(kafka=True) as system:
        if not anyway and (why := why_not_plan(system.kafka(), system.engine)):
            end(f"{why}; --anyway plans all the same", BAD_INPUT)
        with system.engine.connect() as connection:
            today = system.today(connection)
        report = plan_night(system.engine, system.network, system.settings, day.date() if day else today)
        answer(asdict(report), as_json, pairs)
        if not report.moves and not has_loans(system.engine):
            say(
                "no copy moves: without loans nobody knows which titles are wanted where; import past loans too (docs/connect.md)"
            )


@app.command("what-if")
def what_if(
    moves: Annotated[int | None, typer.Option(help="Moves per day.")] = None,
    move_price: Annotated[float | None, typer.Option(help="Loans that a move must bring beyond its costs.")] = None,
    equity: Annotated[float | None, typer.Option(help="Alpha of the equity weights; 0: no weights.")] = None,
    fresh_bonus: Annotated[float | None, typer.Option(help="Value of a fresh copy under a quota, in loans.")] = None,
    floor_bonus: Annotated[float | None, typer.Option(help="Value of a copy on a special shelf, in loans.")] = None,
    capacity: Annotated[
        list[str] | None, typer.Option(help="PLACE=TIMES: scale what a place takes in and gives away.")
    ] = None,
    closed: Annotated[list[str] | None, typer.Option(help="A place that copies neither enter nor leave.")] = None,
    add: Annotated[list[str] | None, typer.Option(help="ID=LAT,LON[,TIER]: a new place.")] = None,
    move: Annotated[list[str] | None, typer.Option(help="PLACE=LAT,LON: another site for a place.")] = None,
    day: Annotated[
        datetime | None, typer.Option("--date", formats=["%Y-%m-%d"], help="The day to plan; default: today.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Plan a day as it is and with a change, side by side. Nothing is kept."""
    from rotation.cli.errors import one_sentence
    from rotation.night.what_if import additions, beside_todays, capacities, journeys, question

    def show(result: dict[str, Any]) -> None:
        for name in ("as_is", "changed", "arrivals"):
            paragraph(f"\n{name}")
            pairs(result[name])
        paragraph("", result["what"]["zh"], result["what"]["en"])

    with one_sentence():
        asked = question(
            moves=moves,
            move_price=move_price,
            equity=equity,
            fresh_bonus=fresh_bonus,
            floor_bonus=floor_bonus,
            capacity=capacities(capacity or ()),
            closed=closed or (),
            added=additions(add or ()),
            moved=journeys(move or ()),
        )
    with beside() as system, system.engine.connect() as connection:
        when = day.date() if day else None
        answer(beside_todays(connection, system.network, system.settings, asked, day=when), as_json, show)


@app.command()
def routes(
    first: Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="First day.")],
    days: Annotated[int, typer.Option(min=1, max=28, help="Number of days.")] = 3,
    keep: Annotated[bool, typer.Option("--keep", help="Write the runs as drafts, which the page shows.")] = False,
    as_json: Json = False,
) -> None:
    """Schedule van runs for waiting copies over the next days. Nothing is ordered."""
    from rotation.night.historic_days import schedule_days

    with beside() as system:
        report = schedule_days(system.engine, system.network, system.settings, first.date(), days, keep=keep)
        answer(report, as_json, pairs)
        if not report["complete"]:
            end("the schedule leaves out copies that could be served; see not_scheduled", FAILED)
