"""The chart of how a night's time and memory grow."""

from xml.etree import ElementTree

from bench.planner_chart import PANELS, chart, latest


def plan_of(size: str, copies: int, cpu_s: float, budget: int | None = None) -> dict[str, object]:
    return {"figure": "plan", "size": size, "copies": copies, "cpu_s": cpu_s, "peak_mb": 300, "budget": budget}


LINES = [
    plan_of("1M", 1_000_000, 44.0),
    plan_of("66k", 66_000, 0.4),
    plan_of("1M", 1_000_000, 12.5),
    plan_of("1M", 1_000_000, 1.0, 300),
]


def test_the_last_plan_without_a_budget_counts_smallest_city_first():
    assert [(line["size"], line["cpu_s"]) for line in latest(LINES)] == [("66k", 0.4), ("1M", 12.5)]


def test_every_size_is_a_point_with_its_figure_in_both_panels():
    drawn = ElementTree.fromstring(chart(latest(LINES)))
    said = [text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert len(list(drawn.iter("{http://www.w3.org/2000/svg}circle"))) == 2 * len(PANELS)
    assert {"0.4", "12.5", "300"} <= set(said)
