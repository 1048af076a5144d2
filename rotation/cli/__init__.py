"""The command line: a file for each group of commands, each command a few lines over the function that does the work.

`--json` prints an answer for a program. An error is a sentence on standard error; the exit code is 2 for input that cannot
be used, and 1 for a failure on our side. Commands import their modules when they run, so that `--help` answers at once.
"""

import signal

import typer

from rotation.cli import (
    backup,
    config,
    db,
    feeds,
    network,
    night,
    outbox,
    questions,
    rejected,
    run,
    sets,
    stock,
    topics,
    users,
)

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
for commands in (run.app, night.app, stock.app, questions.app, feeds.app, db.app, backup.app, config.app):
    app.add_typer(commands)
for group, commands in (
    ("network", network.app),
    ("map", network.map_app),
    ("rejected", rejected.app),
    ("db", db.group),
    ("outbox", outbox.app),
    ("topics", topics.app),
    ("config", config.group),
    ("import", feeds.import_app),
    ("feed", feeds.feed_app),
    ("sip2", feeds.sip2_app),
    ("write-back", feeds.write_back_app),
    ("set", sets.app),
    ("users", users.app),
):
    app.add_typer(commands, name=group)


@app.callback()
def interruptible() -> None:
    """Rotation: a city's library stock on the move."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
