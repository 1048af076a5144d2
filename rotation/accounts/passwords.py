"""Passwords: hashed singly on a thread of its own, judged by zxcvbn.

A hash takes 64 MB and some 50 ms. Sixty at once would take 4 GB and every processor; so they wait for each other, and
when many wait already the next is asked to come again.
"""

import asyncio
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Lock
from typing import TypeVar

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from zxcvbn import zxcvbn

SHORTEST = 10  # NIST SP 800-63B asks for at least 8; length counts, kinds of signs do not
LONGEST = 200  # argon2 would hash a megabyte at our cost
LEAST_SCORE = 3  # of zxcvbn's 0 to 4: more than 10^8 guesses
JUDGED = 72  # signs that zxcvbn takes at most
MOST_WAITING = 40  # some 2 s; whoever waits longer has given up
PASSWORDS = PasswordHash((Argon2Hasher(),))

Result = TypeVar("Result")


def hashed(password: str) -> str:
    """Return a new hash."""
    return PASSWORDS.hash(password)


def is_right(password: str, password_hash: str | None) -> bool:
    """Whether a password has this hash; without a hash it takes as long, and is wrong."""
    return PASSWORDS.verify(password[:LONGEST], password_hash or _nobodys()) and password_hash is not None


@cache
def _nobodys() -> str:
    """Return a hash that no password has, so that an unknown name is rejected as slowly as a known name."""
    return hashed(secrets.token_urlsafe())


def fits(password: str, name: str = "") -> bool:
    """Whether a new password is long enough, not absurd, and neither among the leaked ones nor easily guessed from `name`."""
    if not SHORTEST <= len(password) <= LONGEST:
        return False
    return bool(zxcvbn(password[:JUDGED], user_inputs=[name, "rotation", "流转"])["score"] >= LEAST_SCORE)


class TooMany(Exception):
    """So many passwords wait to be hashed that another would wait for seconds."""


class HashingPool:
    """The process's only thread for hashes."""

    def __init__(self) -> None:
        self._pool, self._lock, self._waiting = ThreadPoolExecutor(1, "passwords"), Lock(), 0

    async def run(self, step: Callable[..., Result], *arguments: object) -> Result:
        """Do a step when those before it are done; raises TooMany instead of letting it wait for long."""
        with self._lock:
            if self._waiting >= MOST_WAITING:
                raise TooMany
            self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, step, *arguments)
        finally:
            with self._lock:
                self._waiting -= 1
