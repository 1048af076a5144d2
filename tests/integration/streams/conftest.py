"""What tests of the streams share: a line of topics, database and workers of one test's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.streams_line import Line


@pytest.fixture
def line(kafka: str, database: str, tmp_path: Path) -> Iterator[Line]:
    one = Line(kafka, database, tmp_path)
    yield one
    one.close()
