"""A feed that stays up: what is away is waited for, said once, and said to be over."""

from threading import Event

import pytest
from kafka.errors import KafkaError
from pymysql.err import OperationalError

from rotation.facts.parts import Needed
from rotation.feeds import staying


class Notes:
    """An outage that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[str | None] = []

    def begin(self, sentence: str, needed: Needed) -> None:
        self.told.append(sentence)

    def end(self) -> None:
        self.told.append(None)


class Stop(Event):
    """A stop that nobody waits for in earnest; it keeps the pauses, and is set after so many."""

    def __init__(self, after: int = 10**6) -> None:
        super().__init__()
        self.pauses: list[float] = []
        self.after = after

    def wait(self, timeout: float | None = None) -> bool:
        self.pauses.append(timeout or 0)
        return len(self.pauses) >= self.after


def test_what_is_away_is_waited_for_with_growing_pauses_and_its_end_is_said() -> None:
    errors = [OperationalError(2003, "gone"), KafkaError("no broker"), ConnectionResetError("reset")]
    stop, notes, said = Stop(), Notes(), list[str]()

    def attempt(well: object, turn: object) -> str:
        if errors:
            raise errors.pop(0)
        well()  # type: ignore[operator]
        return "report"

    assert staying.stay_up(attempt, stop, notes, said.append) == "report"  # type: ignore[arg-type]
    assert stop.pauses == [1.0, 2.0, 4.0]
    assert notes.told[-1] is None
    assert [line.split(" cannot")[0] for line in said] == ["the library system's database", "Kafka", "the network"]


def test_pauses_end_at_a_minute_and_a_signal_ends_the_waiting() -> None:
    stop, notes = Stop(after=12), Notes()

    def attempt(well: object, turn: object) -> str:
        raise OperationalError(1045, "Access denied")

    assert staying.stay_up(attempt, stop, notes, lambda _: None) is None  # type: ignore[arg-type]
    assert max(stop.pauses) == staying.LONGEST_WAIT_S


def test_a_mistake_of_ours_is_not_waited_for() -> None:
    def attempt(well: object, turn: object) -> str:
        raise KeyError("mistake")

    with pytest.raises(KeyError):
        staying.stay_up(attempt, Stop(), Notes(), lambda _: None)  # type: ignore[arg-type]
