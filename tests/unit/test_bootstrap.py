"""What lies behind an error of the whole: the disk before the server that died of it, the server before its clients."""

from pathlib import Path

import pytest

from config import load
from infra.messages import ServerError
from rotation.system import processes
from rotation.system.processes import RunningSystem


class Dead:
    """A server that has ended by itself."""

    def check(self) -> None:
        raise ServerError("server.died", name="Kafka", how="SIGKILL", last="-", log="broker.log")


def test_a_full_disk_is_named_before_the_server_that_died_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = RunningSystem({}, tmp_path, [Dead()], print)  # type: ignore[list-item]
    monkeypatch.setattr(processes, "FREE_MB", 1 << 40)
    with pytest.raises(ServerError, match="free some space"):
        processes._find_the_cause(system, load(data_dir=tmp_path))


def test_a_server_that_died_is_named_before_what_its_clients_say(tmp_path: Path) -> None:
    system = RunningSystem({}, tmp_path, [Dead()], print)  # type: ignore[list-item]
    with pytest.raises(ServerError, match="Kafka exited unexpectedly"):
        processes._find_the_cause(system, load(data_dir=tmp_path))
