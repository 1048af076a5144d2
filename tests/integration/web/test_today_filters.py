"""The list of runs filtered, and a day's totals beside those before."""

from collections.abc import Callable
from datetime import timedelta

from fastapi.testclient import TestClient
from sqlalchemy import Engine, delete, insert, select

from rotation.store.tables import decisions, runs

SignedIn = Callable[[str], TestClient]


def test_runs_are_filtered_and_totals_stand_beside_the_day_before(engine: Engine, signed_in: SignedIn):
    browser = signed_in("viewer")
    with engine.begin() as connection:
        some = connection.execute(select(runs)).mappings().first()
        assert some
        before = {**some, "run_id": "the day before", "day": some["day"] - timedelta(days=1), "distance_m": 12_300}
        connection.execute(insert(runs), before)
    address = f"/today?day={some['day']}"
    assert "before 1, usual 1" in browser.get(address).text
    assert "before 12.3, usual 12.3" in browser.get(address).text
    assert "No run is like that today." in browser.get(f"{address}&only=only_changed").text
    with engine.begin() as connection:
        change = {"who": "li", "what": "change", "subject": f"hub:{some['day']}:{some['hub_id']}"}
        connection.execute(insert(decisions), change)
    changed = browser.get(f"{address}&only=only_changed&part=runs").text
    assert 0 < changed.count('class="run"') < browser.get(f"{address}&part=runs").text.count('class="run"')
    assert browser.get(f"{address}&tier=central&part=runs").text.count('class="run"') < 8
    with engine.begin() as connection:
        connection.execute(delete(runs).where(runs.c.run_id == "the day before"))
        connection.execute(delete(decisions).where(decisions.c.what == "change"))
