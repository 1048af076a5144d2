"""How a command ends when something is wrong: a sentence and an exit code instead of a traceback."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import typer

from rotation.cli.output import say

# Exit codes: the input cannot be used; something failed on our side; a part of the running system stands still.
BAD_INPUT, FAILED, STANDS_STILL = 2, 1, 3
INTERRUPTED = 130  # as shells say it of a program that ended by Ctrl-C


def end(sentence: str, code: int) -> NoReturn:
    """Print a sentence and leave with an exit code."""
    say(sentence)
    raise typer.Exit(code)


@contextmanager
def one_sentence() -> Iterator[None]:
    """End with a sentence for errors that people can fix; any other error keeps its traceback."""
    try:
        yield
    except KeyboardInterrupt:
        end("stopped while something did not answer; what was begun is kept for the next start / 已停止", INTERRUPTED)
    except Exception as error:
        for kinds, code, words in _fixable():
            if isinstance(error, kinds):
                end(words(error), code)
        raise


Kinds = type[Exception] | tuple[type[Exception], ...]


def _fixable() -> Sequence[tuple[Kinds, int, Callable[[Any], str]]]:
    """Return the errors that people can fix, with exit code and wording; the first row that fits counts."""
    from pydantic import ValidationError
    from sqlalchemy.exc import OperationalError

    from infra.messages import ServerError
    from rotation.kafka.admin import OldKafka, TopicsMissing
    from rotation.night.run import AnotherPlans
    from rotation.store.topic_identity import OtherKafka
    from solver.routing_service import TravelError

    return (
        ((AnotherPlans, TravelError, OtherKafka, OldKafka, TopicsMissing), FAILED, str),
        (ValidationError, BAD_INPUT, _wrong_settings),
        ((ValueError, FileNotFoundError), BAD_INPUT, str),
        (ServerError, FAILED, lambda error: f"{error.message.text()}\n{error.message.text('zh')}"),
        (OperationalError, FAILED, lambda error: f"the database does not answer: {error.orig}"),
    )


def _wrong_settings(error: Any) -> str:
    return "\n".join(
        f"{' '.join(filter(None, ('setting', '.'.join(map(str, wrong['loc'])))))}: {wrong['msg']}"
        for wrong in error.errors()
    )


@contextmanager
def library_system() -> Iterator[None]:
    """End with a sentence when the library system cannot be reached or refuses the login."""
    from httpx import HTTPError, HTTPStatusError
    from kafka.errors import KafkaError
    from pymysql.err import MySQLError

    try:
        yield
    except HTTPStatusError as error:
        request, status = error.request, error.response.status_code
        end(f"the library system answered {status} to {request.method} {request.url.path}", FAILED)
    except (HTTPError, OSError, MySQLError, KafkaError) as error:
        end(f"the library system cannot be reached: {error}", FAILED)


@contextmanager
def still_wrong(number: int) -> Iterator[None]:
    """End with a sentence when a rejection does not exist or would be rejected again."""
    from rotation.store.rejections import StillWrong

    try:
        yield
    except LookupError as error:
        end(error.args[0], BAD_INPUT)
    except StillWrong as error:
        end(f"nothing was sent: rejection {number} would be rejected again: {error}", BAD_INPUT)
