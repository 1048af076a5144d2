"""The user that runs PostgreSQL where we are root, which it rejects, and this user's access to its data and programs.

It is an id that the machine lends to nobody, so no other program shares it and no other user is it. It may pass through
the folders above its data (`infra.passage`); programs that it cannot read are copied to where it can.
"""

import os
import pwd
import shutil
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from infra.messages import ServerError
from infra.passage import let_pass

# systemd's table of user ids leaves these to nobody (https://systemd.io/UIDS-GIDS).
FIRST_ID, LAST_ID = 60_578, 61_183
# Folders that the server's group passes through; files and folders that all may read.
PASSED, READ_FOLDER, READ_FILE = 0o710, 0o755, 0o644


@dataclass(frozen=True)
class Identity:
    """A user and a group, as numbers; as text "uid:gid"."""

    uid: int
    gid: int

    def __str__(self) -> str:
        return f"{self.uid}:{self.gid}"


def server_user() -> Identity | None:
    """Return the user for a server that refuses root; None where we are not root: then our own.

    Raises
    ------
    ServerError
        user.none where every such id has a name.
    """
    if os.geteuid():
        return None
    accounts = pwd.getpwall()
    taken = {account.pw_uid for account in accounts} | {account.pw_gid for account in accounts}
    free = next((number for number in range(FIRST_ID, LAST_ID + 1) if number not in taken), None)
    if free is None:
        raise ServerError("user.none", first=FIRST_ID, last=LAST_ID)
    return Identity(free, free)


def with_a_name(user: Identity) -> Identity:
    """Return a user with a name, which initdb wants, in the group of `user`, through which alone it reaches the data."""
    accounts = sorted(pwd.getpwall(), key=lambda account: account.pw_name != "nobody")
    return Identity(next(account.pw_uid for account in accounts if account.pw_uid), user.gid)


def own_name() -> str:
    """Return our own name, by which PostgreSQL lets us in.

    Raises
    ------
    ServerError
        user.nameless where the machine has none for our id.
    """
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError as error:
        raise ServerError("user.nameless", uid=os.geteuid()) from error


def give_way(folder: Path, user: Identity) -> None:
    """Close `folder` to all but us and `user`, who may pass through it and the folders above.

    Raises
    ------
    ServerError
        user.no_way where a folder above is closed and its disk keeps no access lists.
    """
    try:
        os.chown(folder, -1, user.gid)
        folder.chmod(PASSED)
        for above in folder.parents:
            let_pass(above, user.gid)
    except OSError as error:
        raise ServerError("user.no_way", folder=folder, reason=error.strerror) from error


def hand_over(folder: Path, user: Identity) -> None:
    """Give `folder` and its content to `user`, following no link; do nothing where it is theirs already."""
    if folder.lstat().st_uid == user.uid:
        return
    for _, folders, files, descriptor in os.fwalk(folder):
        for name in (*folders, *files):
            os.chown(name, user.uid, user.gid, dir_fd=descriptor, follow_symlinks=False)
    os.chown(folder, user.uid, user.gid, follow_symlinks=False)  # last: if interrupted before, it is done again


def readable(base: Path, parts: Iterable[str], copy: Path) -> Path:
    """Return where all may read the `parts` (files or folders) of `base`: there, or in `copy`, created if missing."""
    if all(_open_to_all(base / part) for part in parts):
        return base
    if not copy.exists():
        new = copy.with_name(f"{copy.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        for part in parts:
            (new / part).parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if (base / part).is_dir() else shutil.copy2)(base / part, new / part)
        _open_to(new)
        new.rename(copy)
    return copy


def _open_to_all(path: Path) -> bool:
    passed = all(above.stat().st_mode & stat.S_IXOTH for above in path.parents)
    return passed and all(each.stat().st_mode & stat.S_IROTH for each in (path, *path.rglob("*")))


def _open_to(copy: Path) -> None:
    for each in (copy, *copy.rglob("*")):
        executable = each.is_dir() or each.stat().st_mode & stat.S_IXUSR
        each.chmod(READ_FOLDER if executable else READ_FILE)
