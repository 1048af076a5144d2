"""A process between us and a server, so that the server never outlives us, however we die.

Run as a script: `guard.py PARENT_PID STOP_SIGNAL STOP_S USER COMMAND...`. It starts COMMAND, prints its pid, and waits
for one of three ends: the command's own, the closing of its standard input (we ask, or died), or a change of parent (we
were killed while a forked process of ours still held the pipe open). It stops the command with STOP_SIGNAL, after
STOP_S seconds with SIGKILL. Should the guard itself be killed, Linux kills the command (PR_SET_PDEATHSIG).

Imports the standard library's lightest parts only: one guard a server stays in memory. As root, USER (not empty) is who
the command runs as, since PostgreSQL refuses root; it keeps the right to pass through folders closed to others
(CAP_DAC_OVERRIDE), since a clone may lie in root's home.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys

LOOK_S = 0.25  # how soon the end of the command or of the parent is noticed
PR_SET_PDEATHSIG, PR_SET_KEEPCAPS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 1, 8, 47, 2  # linux/prctl.h
CAP_DAC_OVERRIDE, CAPABILITY_VERSION_3 = 1, 0x20080522  # linux/capability.h


def main(arguments: list[str]) -> int:
    """Guard one command until it ends; return its exit code (128 + n: killed by signal n)."""
    parent, stop_signal, stop_s, user, *command = arguments
    signal.signal(signal.SIGTERM, lambda *_: os.close(0))
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=2, preexec_fn=lambda: become(user))
    print(child.pid, flush=True)
    while child.poll() is None and wanted(int(parent)):
        pass
    code = ended(child, int(stop_signal), float(stop_s))
    return code if code >= 0 else 128 - code


def wanted(parent: int) -> bool:
    """Wait a moment; tell whether the parent lives and keeps our standard input open."""
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
    """In the new process, before the command: change to `user`, and be killed when the guard is."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if user:
        change_user(libc, user)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def change_user(libc: ctypes.CDLL, user: str) -> None:
    """Give up root for `user`, keeping CAP_DAC_OVERRIDE where the machine lets us."""
    import pwd

    account = pwd.getpwnam(user)
    libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    low, high = [1 << CAP_DAC_OVERRIDE] * 3, [0] * 3  # effective, permitted, inheritable, in two halves of 32 bits
    sets = (ctypes.c_uint32 * 6)(*low, *high)
    libc.capset(header, sets)
    libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
