"""The chart of how a night's time and memory grow."""

from xml.etree import ElementTree

from bench.planner_chart import FIGURES, chart, latest


def plan_of(size: str, copies: int, cpu_s: float, budget: int | None = None, titles: int = 60_000) -> dict[str, object]:
    numbers = {"copies": copies, "titles": titles, "places": 200, "cpu_s": cpu_s, "peak_mb": 300}
    return {"figure": "plan", "size": size, "budget": budget, **numbers}


LINES = [
    plan_of("1M", 1_000_000, 44.0),
    plan_of("66k", 66_000, 0.4),
    plan_of("1M", 1_000_000, 12.5),
    plan_of("1M", 1_000_000, 1.0, 300),
]


def test_the_last_plan_without_a_budget_counts_smallest_city_first():
    assert [(line["size"], line["cpu_s"]) for line in latest(LINES)] == [("66k", 0.4), ("1M", 12.5)]


def points(lines: list[dict[str, object]]) -> tuple[int, set[str | None]]:
    drawn = ElementTree.fromstring(chart(latest(lines)))
    said = {text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")}
    return len(list(drawn.iter("{http://www.w3.org/2000/svg}circle"))), said


def test_every_size_is_a_point_with_its_figure_in_both_panels():
    circles, said = points(LINES)
    assert circles == 2 * len(FIGURES)
    assert {"0.4", "12.5", "300"} <= said


def test_what_grows_alone_has_charts_of_its_own():
    grown = [plan_of("250k", 250_000, 1.5), plan_of("titlesx4", 250_000, 3.25, titles=240_000)]
    circles, said = points(LINES + grown)
    assert circles == (3 + 2) * len(FIGURES)  # 250k is a city among cities, too
    assert {"3.25", "processor seconds over titles (titles alone)"} <= said
