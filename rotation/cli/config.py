"""Settings, and the figures of standards that floors may name."""

import typer

from rotation.cli.context import load_settings
from rotation.cli.errors import one_sentence
from rotation.cli.output import Json, answer, table

app = typer.Typer()
group = typer.Typer(no_args_is_help=True, help="Settings.")


@app.command()
def standards(as_json: Json = False) -> None:
    """List the figures of standards and practice that floors may name; some have no known value."""
    from config.figures import figures

    with one_sentence():
        rows = [
            figure.model_dump() | {"about": figure.about.zh, "unit": figure.unit.zh} for figure in figures().values()
        ]
        named = [row | {"value": "未知 unknown" if row["value"] is None else row["value"]} for row in rows]
        answer(rows if as_json else named, as_json, table("id", "value", "unit", "about", "source", "date"))


@group.command("show")
def show(as_json: Json = False) -> None:
    """Show each setting, its value, and the source of the value. Secrets are hidden."""
    from config.settings import shown

    with one_sentence():
        rows = [row._asdict() for row in shown(load_settings())]
    answer(rows, as_json, table("key", "value", "origin", "description"))
