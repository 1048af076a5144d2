"""Why: a copy's moves, a title's absence, and the prices of the last night."""

from pathlib import Path
from typing import Annotated, Any

import typer

from rotation.cli.context import beside
from rotation.cli.errors import BAD_INPUT, end
from rotation.cli.output import Json, answer, pairs, paragraph, table

app = typer.Typer()


@app.command()
def why(copy: Annotated[str, typer.Argument(help="The copy's id.")], as_json: Json = False) -> None:
    """Explain why a copy moved, moves, or stays."""
    from rotation.views.explanations import of_copy

    def show(explained: dict[str, Any]) -> None:
        pairs({name: explained[name] for name in ("copy", "title", "state", "place", "since")})
        for move in explained["transfers"]:
            reasons = [f"{move['why'][code]} {move['worth'][code]}" for code in ("zh", "en")]
            paragraph("", f"{move['from']} → {move['to']} ({move['kind']}, {move['status']})", *reasons)

    with beside() as system, system.engine.connect() as connection:
        answer(of_copy(connection, copy), as_json, show)


@app.command("why-not")
def why_not(
    title: Annotated[str, typer.Argument(help="The title's id.")],
    place: Annotated[str, typer.Argument(help="The place's id.")],
    as_json: Json = False,
) -> None:
    """Explain why no copy of a title goes to a place, or name the copy that does."""
    from rotation.views.explanations import not_there

    def show(explained: dict[str, Any]) -> None:
        paragraph(explained["why"]["zh"], explained["why"]["en"])

    with beside() as system, system.engine.connect() as connection:
        answer(not_there(connection, system.network, system.settings, title, place), as_json, show)


@app.command()
def prices(
    place: Annotated[str, typer.Argument(help="A place's id; default: all places.")] = "", as_json: Json = False
) -> None:
    """Show the last night's prices and floors, and its purchase and weeding lists."""
    from dataclasses import asdict

    from rotation.views.last_night import last

    def show(night: dict[str, Any]) -> None:
        lists = ("floors", "loans_guarded", "shelves", "purchases", "weeding")
        pairs({name: value for name, value in night.items() if name not in lists})
        for name in lists:
            paragraph(f"\n{name}")
            table(*(night[name][0] if night[name] else ()))(list(night[name]))

    with beside() as system, system.engine.connect() as connection:
        night = last(connection, place)
        if night is None:
            end("no night has been planned yet: `rotation plan` plans one", BAD_INPUT)
        answer(asdict(night), as_json, show)


@app.command()
def backtest(
    weeks: Annotated[int, typer.Option(min=1, max=26, help="Weeks held out, the last of the history.")] = 8,
    picture: Annotated[Path | None, typer.Option(help="A file for the picture (SVG).")] = None,
    as_json: Json = False,
) -> None:
    """Score the demand that a night believes on the city's own last weeks, which it has not seen."""
    from rotation.cli.context import now
    from rotation.night.backtest import backtest as scored
    from rotation.views.backtest_chart import picture as drawn

    def show(outcome: dict[str, Any]) -> None:
        lists = ("methods", "groups", "fading")
        pairs({name: value for name, value in outcome.items() if name not in lists})
        for name in lists:
            paragraph(f"\n{name}")
            table(*(outcome[name][0] if outcome[name] else ()))(list(outcome[name]))

    with beside() as system, system.engine.connect() as connection:
        outcome = scored(connection, system.network, system.settings, now(connection), weeks)
    if picture:
        picture.write_text(drawn(outcome), encoding="utf-8")
    answer(outcome, as_json, show)
