"""Backup and restore: the database and every event, in a folder. And a text that must not be kept, purged."""

from pathlib import Path
from typing import Annotated

import typer

from rotation.cli.context import beside, load_settings
from rotation.cli.errors import BAD_INPUT, end, one_sentence
from rotation.cli.output import say

app = typer.Typer()


@app.command("backup")
def backup(folder: Annotated[Path, typer.Argument(help="A new or empty folder.")]) -> None:
    """Write database and events into a folder, while everything goes on."""
    from rotation.system.backup import backup as write

    with beside(kafka=True) as system:
        made = write(system.settings.database_address(), system.kafka(), folder, say)
        say(f"backup of {made.made_at} in {folder} / 备份完成")


@app.command("restore")
def restore(folder: Annotated[Path, typer.Argument(help="A folder that `rotation backup` wrote.")]) -> None:
    """Bring a backup into an empty data folder, or an empty database and Kafka; start Rotation after it."""
    from config.kafka import client
    from rotation.system import processes
    from rotation.system.backup import read
    from rotation.system.backup import restore as bring

    with one_sentence():
        settings = load_settings()
        read(folder)
        if processes.noted_addresses(settings):
            end(f"Rotation runs in {settings.data_dir}: stop it, or name another ROTATION_DATA_DIR", BAD_INPUT)
        with processes.beside(settings, lambda message: say(message.text()), kafka=True) as found:
            url, replication = found.database_address(), found.kafka_replication
            restored = bring(url, client(found), folder, say, replication=replication)
            say(f"restored as of {restored.made_at}; what came after it is applied once Rotation runs / 恢复完成")


@app.command("purge")
def purge(
    text: Annotated[str, typer.Argument(help="The text, such as a name that stood in a column of ids.")],
    yes: Annotated[bool, typer.Option("--yes", help="Remove it; without this it is only counted.")] = False,
) -> None:
    """Find a text in all tables, topics and logs, and put a random word in its place; stop Rotation first."""
    from config.kafka import client
    from rotation.system import processes
    from rotation.system import purge as purging

    with one_sentence():
        settings = load_settings()
        if processes.noted_addresses(settings):
            end(f"Rotation runs in {settings.data_dir}: stop it first", BAD_INPUT)
        logs, work = settings.data_dir / "logs", settings.data_dir / "purge"
        with processes.beside(settings, lambda message: say(message.text()), kafka=True) as found:
            where = (text, found.database_address(), client(found), logs)
            if not yes:
                say(f"found: {purging.find(*where)}. Nothing is changed without --yes / 未作改动，加 --yes 才会清除")
                return
            counts = purging.purge(*where, work, say, replication=found.kafka_replication)
            say(f"removed: {counts}. Backups made before still hold it / 已清除；此前的备份仍含此内容")
