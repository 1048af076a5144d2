"""The whole system: start it, and see how it is doing."""

from typing import TYPE_CHECKING, Annotated

import typer

from rotation.cli.context import beside, load_settings
from rotation.cli.errors import STANDS_STILL, end, one_sentence
from rotation.cli.output import Json, answer, pairs, say
from rotation.facts.parts import Part

if TYPE_CHECKING:
    from config import Settings

app = typer.Typer()


@app.command()
def run(
    seconds: Annotated[float | None, typer.Option("--for", min=1, help="Stop after this many seconds.")] = None,
    lan: Annotated[
        bool,
        typer.Option(
            "--lan", help="Serve the page over HTTPS to phones on the local network too; show a QR code of it."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Start everything with the demonstration city, and let its days pass."""
    from rotation.system.interrupt import stop_on_signals

    stop = stop_on_signals()
    from rotation.system.demonstration import run as run_all
    from rotation.system.terminal import Terminal
    from rotation.views.status import figures

    terminal = Terminal(quiet=as_json)
    with one_sentence():
        at_the_end = run_all(_on_the_lan() if lan else load_settings(), seconds, terminal, stop, figures)
    answer(at_the_end, as_json, lambda f: terminal.step(f"Stopped; {f.get('missing', '?')} events missing / 已停止"))


def _on_the_lan() -> "Settings":
    """Return the settings with this machine's address on its local network."""
    from infra.lan import lan_host

    settings = load_settings()
    return settings if settings.lan_host else settings.model_copy(update={"lan_host": lan_host()})


@app.command()
def serve() -> None:
    """Start everything for your own or an imported network, without the demonstration city."""
    from rotation.system.interrupt import stop_on_signals

    stop = stop_on_signals()
    from rotation.system.serve import serve as serve_all
    from rotation.system.terminal import Terminal

    with one_sentence():
        serve_all(load_settings(), Terminal(quiet=False).step, stop)


@app.command()
def alive(part: Annotated[Part, typer.Argument(help="The part.")]) -> None:
    """Say whether a part goes on on this machine: exit code 3 if nothing was heard of it of late. For health checks."""
    from rotation.store.engine import connect
    from rotation.store.heartbeats import SILENT_S, goes_on_here

    with one_sentence(), connect(load_settings().database_address()) as connection:
        if not goes_on_here(connection.cursor(), part):
            end(f"nothing was heard of the {part} here for {SILENT_S:.0f} s", STANDS_STILL)
        say(f"the {part} goes on")


@app.command()
def status(as_json: Json = False) -> None:
    """Show the system's figures: events, stock, alerts, plans, deliveries, feeds, parts; exit code 3: something stands still."""
    from rotation.views.status import figures

    with beside() as system:
        shown = figures(system.engine, system.network.timezone, system.settings.plan_at)
        answer(shown, as_json, pairs)
        if shown["standing_still"]:
            end("\n".join(f"{one['en']}\n{one['zh']}" for one in shown["standing_still"]), STANDS_STILL)
