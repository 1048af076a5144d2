"""Kafka's class path: 45 pinned jars in a cache that all clones of a user share.

The list beside this file names every jar with its checksum, so nothing is resolved at run time: jars in the cache are
used unchanged; missing jars are fetched (by jgo) and checked first.
"""

import hashlib
import logging
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from infra.messages import ServerError, ServerMessage, Tell

# A line for each jar: group:artifact:version sha256.
LIST = Path(__file__).with_name("kafka-jars.txt")
FETCHERS = 8  # small files, so the time is the round trips'; more did not help


@dataclass(frozen=True)
class Jar:
    """A pinned jar."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def name(self) -> str:
        """File name."""
        return f"{self.artifact}-{self.version}.jar"


def class_path(tell: Tell) -> str:
    """Return the broker's class path, fetching the jars into the cache if they are not there.

    Raises
    ------
    ServerError
        jars.unreachable without network, jars.differ where a checksum is not as pinned.
    """
    jars, folder = pinned(), cache_folder()
    if not all((folder / jar.name).exists() for jar in jars):
        fetch(jars, folder, tell)
    return os.pathsep.join(str(folder / jar.name) for jar in jars)


def pinned() -> list[Jar]:
    """Return the jars of the list."""
    return [Jar(*line.replace(":", " ").split()) for line in LIST.read_text().splitlines()]


def cache_folder() -> Path:
    """Return where the jars lie: $ROTATION_CACHE, else rotation/ in the user's cache; a new list is a new folder."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    base = Path(os.environ.get("ROTATION_CACHE") or Path(home) / "rotation")
    return base / f"{LIST.stem.removesuffix('-jars')}-{hashlib.sha256(LIST.read_bytes()).hexdigest()[:12]}"


def fetch(jars: list[Jar], folder: Path, tell: Tell) -> None:
    """Fetch and check all jars, then put them into `folder`."""
    tell(ServerMessage("kafka.fetch", {"count": len(jars), "folder": folder}))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as partial:
            kept = Path(partial, "jars")
            kept.mkdir()
            with ThreadPoolExecutor(FETCHERS) as pool:
                list(pool.map(lambda jar: fetch_one(jar, Path(partial, "repository"), kept), jars))
            folder.mkdir(exist_ok=True)
            for jar in jars:  # file by file: another start may be writing, or already using, the same jars
                (kept / jar.name).replace(folder / jar.name)
    except PermissionError as error:
        raise ServerError("folder.unusable", folder=folder, reason=error.strerror) from error


def fetch_one(jar: Jar, repository: Path, kept: Path) -> None:
    """Fetch a jar through a repository folder of its own (jgo trusts a half-written file) and check it."""
    from jgo.maven import MavenContext  # 0.5 s of imports that a second start does not need

    logging.getLogger("jgo").setLevel(logging.ERROR)
    try:
        context = MavenContext(repo_cache=repository)
        found = context.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve()
    except Exception as error:  # requests', urllib's and jgo's own kinds
        raise ServerError("jars.unreachable", jar=jar.name, reason=type(error).__name__) from error
    if hashlib.sha256(found.read_bytes()).hexdigest() != jar.sha256:
        raise ServerError("jars.differ", jar=jar.name)
    found.rename(kept / jar.name)
