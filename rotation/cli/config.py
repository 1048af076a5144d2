"""Settings, and the figures of standards that floors may name."""

from getpass import getuser
from typing import Annotated

import typer

from rotation.cli.context import beside, load_settings
from rotation.cli.errors import one_sentence
from rotation.cli.output import Json, answer, say, table

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


@group.command("city")
def city(as_json: Json = False) -> None:
    """Show the settings that decide for people, as the database keeps them for all processes."""
    from rotation.store import city_settings

    with beside() as system, system.engine.connect() as connection:
        differing = city_settings.differing(connection, load_settings())
        rows = [
            {"key": name, "value": getattr(system.settings, name), "this_process": differing.get(name, ("",))[0]}
            for name in city_settings.DECIDING
        ]
    answer(rows, as_json, table("key", "value", "this_process"))


@group.command("set")
def set_city(
    name: Annotated[str, typer.Argument(help="The setting, as `rotation config city` lists it.")],
    value: Annotated[str, typer.Argument(help="The value; '' for none.")],
) -> None:
    """Set a setting that decides for people (approval, budgets) in the database, for all processes; recorded as a decision."""
    from rotation.store import city_settings

    with beside() as system, one_sentence(), system.engine.begin() as connection:
        taken = city_settings.change(connection, load_settings(), name, value, f"{getuser()} (command line)")
    say(f"{name} = {taken}: holds from the next look of the planner on / 计划程序下次查看时生效")
