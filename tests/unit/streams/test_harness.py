"""A thread of the harness that dies is named as such."""

import pytest

from tests.streams_line import HarnessThread


def dies() -> None:
    raise OSError("gone")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_died_is_named_with_its_reason() -> None:
    thread = HarnessThread(dies)
    thread.start()
    thread.join()
    with pytest.raises(AssertionError, match=r"the harness's own thread dies died of OSError"):
        thread.check()


def test_a_thread_that_ended_well_is_not() -> None:
    thread = HarnessThread(str, "x")
    thread.start()
    thread.join()
    thread.check()
