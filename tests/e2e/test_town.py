"""A town of three places, word for word from docs/connect.md, as a newcomer would set it up, with a newcomer's mistakes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.needs import REPOSITORY

GUIDE = (REPOSITORY / "docs" / "connect.md").read_text(encoding="utf-8")
COMMAND_S = 150  # seen: 13 s with both servers started; a loaded machine takes many times that


def block(kind: str) -> str:
    return GUIDE.split(f"```{kind}\n")[1].partition("```")[0]


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("town")
    (folder / "town.toml").write_text(block("toml"), encoding="utf-8")
    (folder / "holdings.csv").write_text(block("csv"), encoding="utf-8")
    return folder


def rotation(town: Path, *arguments: str, network: str = "town.toml") -> "subprocess.CompletedProcess[str]":
    outside = ("DATABASE_URL", "KAFKA_BOOTSTRAP")
    own = {
        "ROTATION_NETWORK": str(town / network),
        "ROTATION_DATA_DIR": str(town / "data"),
        "PYTHONPATH": str(REPOSITORY),
    }
    environment = {name: value for name, value in os.environ.items() if name not in outside} | own
    command = [sys.executable, "-m", "rotation", *arguments]
    return subprocess.run(command, cwd=town, env=environment, capture_output=True, text=True, timeout=COMMAND_S)


IMPORT = ("import", "table", "holdings.csv", "--map", "plain-stock")


def test_mistakes_are_named_in_one_sentence_before_anything_is_started(town: Path) -> None:
    (town / "bad.toml").write_text(block("toml").replace('hub = "main"', 'hub = "mian"'), encoding="utf-8")
    (town / "other.csv").write_text("barcode;place\n", encoding="utf-8")
    answers = [
        rotation(town, *IMPORT),
        rotation(town, *IMPORT, "--at", "2026-03-05", network="bad.toml"),
        rotation(town, "import", "table", "other.csv", "--map", "plain-stock", "--at", "2026-03-05"),
        rotation(town, "ingest", "nowhere.jsonl"),
        rotation(town, "network", "check", "bad.toml"),
    ]
    words = (
        "add --at, such as",
        "'mian' is no known hub",
        "name no column copy",
        "nowhere.jsonl",
        "'mian' is no known hub",
    )
    for answer, said in zip(answers, words, strict=True):
        assert (answer.returncode, said in answer.stderr) == (2, True), answer.stderr
        assert "Starting" not in answer.stderr
        assert "Traceback" not in answer.stderr
    assert not (town / "data").exists()


@pytest.mark.timeout(400)
def test_a_town_is_imported_counted_and_planned_and_status_is_right_at_once(town: Path) -> None:
    empty = rotation(town, "plan", "--json")
    assert (empty.returncode, "no copy is known yet" in empty.stderr) == (2, True), empty.stderr
    with (town / "holdings.csv").open("a", encoding="utf-8") as more:
        more.write("00004,t2,fiction,Jim Button,nowhere,on_shelf\n00005,t2,fiction,Jim Button,main,eaten\n")
    first, again = (json.loads(rotation(town, *IMPORT, "--at", "2026-03-05", "--json").stdout) for _ in range(2))
    assert first == {
        "read": 5,
        "events": 6,
        "told": {"copy.added": 3, "copy.corrected": 3},
        "refused": {"unknown_place": 2, "data": 1},
        "not_in_the_map": {"'eaten' is not in the map's [says]": 1},
        "applied": 6,
        "known_already": 0,
        "refused_when_applied": {},
    }
    assert (again["applied"], again["known_already"]) == (0, 6)
    status = json.loads(rotation(town, "status", "--json").stdout)
    assert (status["copies"], status["by_state"]) == (3, {"on_loan": 1, "on_shelf": 2})
    assert status["kafka"] == []
    planned = json.loads(rotation(town, "plan", "--json").stdout)
    assert (planned["copies"], planned["stock_at"]) == (3, "2026-03-04 23:00:00+00:00")
    assert planned["stock_age_h"] > 24
    event = {
        "specversion": "1.0",
        "id": "e1",
        "source": "koha",
        "type": "copy.returned",
        "time": "2026-03-06T08:00:00Z",
    }
    line = json.dumps(event | {"data": {"copy": "00002", "place": "school"}})
    (town / "events.jsonl").write_text(f"{line}\nno event\n", encoding="utf-8")
    told = json.loads(rotation(town, "ingest", "events.jsonl", "--json").stdout)
    assert (told["lines_sent"], told["lines_refused"], told["applied"]) == (1, 1, 1)


@pytest.mark.timeout(400)
def test_a_plan_refuses_a_stock_that_lags_behind_kafka(town: Path) -> None:
    program = (
        "from config import load\nfrom config.kafka import client\nfrom rotation.system.processes import beside\n"
        "from infra.messages import silent\nfrom rotation.kafka.clients import producer\n"
        "with beside(load(), silent, kafka=True) as settings:\n"
        "    sender = producer(client(settings)); sender.send('circulation.events', b'[]').get(30); sender.close()\n"
    )
    own = {"ROTATION_NETWORK": str(town / "town.toml"), "ROTATION_DATA_DIR": str(town / "data")}
    subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, env=os.environ | own, check=True, timeout=COMMAND_S)
    lagging = rotation(town, "plan", "--date", "2099-01-01")
    assert (lagging.returncode, "1 messages wait in Kafka" in lagging.stderr) == (2, True), lagging.stderr
    assert rotation(town, "plan", "--date", "2099-01-01", "--anyway").returncode == 0
