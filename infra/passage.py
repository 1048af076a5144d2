"""Access for a group through closed folders: an entry in each folder's access list (POSIX ACL).

It lets the group pass, not look, and leaves everyone else's rights as they are. The list is written as Linux keeps it,
since the program `setfacl` is on few machines.
"""

import errno
import os
import stat
import struct
from functools import reduce
from operator import or_
from pathlib import Path

# linux/posix_acl_xattr.h: a version, then tag, permissions and id of each entry.
ATTRIBUTE, VERSION, ENTRY = "system.posix_acl_access", struct.pack("<I", 2), "<HHI"
OWNER, USER, OWNING_GROUP, GROUP, MASK, OTHERS = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
MASKED = (USER, OWNING_GROUP, GROUP)
NO_ID = 0xFFFF_FFFF
PASS, ALL = 0o1, 0o7

Entries = dict[tuple[int, int], int]


def let_pass(folder: Path, group: int) -> None:
    """Let members of `group` pass through `folder`; raise OSError where its disk keeps no access lists."""
    if folder.stat().st_mode & stat.S_IXOTH:
        return
    entries = read(folder)
    if not entries.get((GROUP, group), 0) & mask_of(entries) & PASS:
        os.setxattr(folder, ATTRIBUTE, packed(with_pass(entries, group)))


def read(folder: Path) -> Entries:
    """Return permissions by tag and id; of a folder without a list, those of its mode."""
    try:
        kept = os.getxattr(folder, ATTRIBUTE)
    except OSError as error:
        if error.errno != errno.ENODATA:
            raise
        mode = folder.stat().st_mode
        return {(tag, NO_ID): mode >> shift & ALL for tag, shift in ((OWNER, 6), (OWNING_GROUP, 3), (OTHERS, 0))}
    return {(tag, number): value for tag, value, number in struct.iter_unpack(ENTRY, kept[len(VERSION) :])}


def mask_of(entries: Entries) -> int:
    """Return the rights that the list's mask lets through; whoever closes the folder again (chmod 700) empties it."""
    return entries.get((MASK, NO_ID), ALL)


def with_pass(entries: Entries, group: int) -> Entries:
    """Return the entries with another; rights that the mask withheld from others stay withheld as it grows."""
    mask = mask_of(entries)
    kept = {key: value & mask if key[0] in MASKED else value for key, value in entries.items()}
    kept[GROUP, group] = PASS
    kept[MASK, NO_ID] = reduce(or_, (value for (tag, _), value in kept.items() if tag in MASKED))
    return kept


def packed(entries: Entries) -> bytes:
    """Return the entries as the attribute, in the order that Linux wants: by tag, then id."""
    return VERSION + b"".join(
        struct.pack(ENTRY, tag, value, number) for (tag, number), value in sorted(entries.items())
    )
