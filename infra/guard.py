"""A process between us and a server, so that the server never outlives us, however we die.

Run as a script: `guard.py PARENT_PID STOP_SIGNAL STOP_S USER COMMAND...`. It starts COMMAND, prints its pid, and waits
for one of three ends: the command's own, the closing of its standard input (we ask, or died), or a change of parent (we
were killed while a forked process of ours still held the pipe open). It stops the command with STOP_SIGNAL, after
STOP_S seconds with SIGKILL. Should the guard itself be killed, Linux kills the command (PR_SET_PDEATHSIG).

Imports the standard library's lightest parts only: a guard for each server stays in memory. As root, USER ("uid:gid", not
empty) is who the command runs as, since PostgreSQL refuses root; nothing of root's power is left to it.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys

# How soon the end of the command or of the parent is noticed.
LOOK_S = 0.25
# linux/prctl.h
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38


def main(arguments: list[str]) -> int:
    """Guard a command until it ends; return its exit code (128 + n: killed by signal n)."""
    parent, stop_signal, stop_s, user, *command = arguments
    signal.signal(signal.SIGTERM, lambda *_: os.close(0))
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=2, preexec_fn=lambda: become(user))
    print(child.pid, flush=True)
    while child.poll() is None and wanted(int(parent)):
        pass
    code = ended(child, int(stop_signal), float(stop_s))
    return code if code >= 0 else 128 - code


def wanted(parent: int) -> bool:
    """Wait a moment; return whether the parent lives and keeps our standard input open."""
    try:
        closed, _, _ = select.select([0], [], [], LOOK_S)
    except (OSError, ValueError):
        return False
    return not closed and os.getppid() == parent


def ended(child: "subprocess.Popen[bytes]", stop_signal: int, stop_s: float) -> int:
    """Stop the command if it still runs, at the latest after `stop_s`; return its exit code."""
    if child.poll() is None:
        child.send_signal(stop_signal)
    try:
        return child.wait(stop_s)
    except subprocess.TimeoutExpired:
        child.kill()
        return child.wait()


def become(user: str) -> None:
    """In the new process, before the command: change to `user`, and ask to be killed with the guard."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if user:
        change_user(*map(int, user.split(":")))
        libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def change_user(uid: int, gid: int) -> None:
    """Become this user in this group alone; Linux then takes every capability away."""
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
