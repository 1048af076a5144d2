"""The dashboard against Grafana's own schema of dashboards, as far as it says something of what stands in ours.

Source: grafana/kind-registry, core/dashboard (schema version 39). Unknown fields and other kinds are refused.
"""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

FILE = Path(__file__).resolve().parents[3] / "docs" / "grafana" / "rotation.json"
Count = Annotated[int, Field(ge=0, lt=2**32)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=to_camel)


class DataSource(Strict):
    type: str = ""
    uid: str = ""


class GridPos(Strict):
    x: Annotated[int, Field(ge=0, lt=24)]
    y: Count
    w: Annotated[int, Field(gt=0, le=24)]
    h: Annotated[int, Field(gt=0, lt=2**32)]


class Target(Strict):
    """Of Prometheus' own schema of queries."""

    ref_id: Annotated[str, Field(min_length=1)]
    expr: Annotated[str, Field(min_length=1)]
    legend_format: str = ""
    datasource: DataSource


class Defaults(Strict):
    unit: str = ""
    min: float | int | None = None
    max: float | int | None = None


class FieldConfig(Strict):
    defaults: Defaults
    overrides: list[Any]


class Panel(Strict):
    id: Count
    type: Annotated[str, Field(min_length=1)]
    title: str
    description: str = ""
    datasource: DataSource
    grid_pos: GridPos
    field_config: FieldConfig
    options: dict[str, Any]
    targets: list[Target]


class Variable(Strict):
    type: Literal[
        "query", "adhoc", "groupby", "constant", "datasource", "interval", "textbox", "custom", "system", "snapshot"
    ]
    name: str
    label: str = ""
    hide: Literal[0, 1, 2] = 0
    query: str = ""
    current: dict[str, Any] = {}


class Templating(Strict):
    list: list[Variable]


class Annotations(Strict):
    list: list[Any]


class Time(Strict):
    from_: str = Field(alias="from")
    to: str


class Dashboard(Strict):
    uid: Annotated[str, Field(min_length=8, max_length=40)]
    title: str
    tags: list[str]
    timezone: str
    editable: bool
    time: Time
    refresh: Annotated[str, Field(pattern=r"^\d+[smhd]$")]
    schema_version: Literal[39]
    version: Count
    panels: list[Panel]
    templating: Templating
    annotations: Annotations
    links: list[Any]


def test_the_dashboard_is_one_by_grafanas_schema():
    found = Dashboard.model_validate(json.loads(FILE.read_text(encoding="utf-8")))
    known = {variable.name for variable in found.templating.list if variable.type == "datasource"}
    asked = {panel.datasource.uid for panel in found.panels} | {
        t.datasource.uid for p in found.panels for t in p.targets
    }
    assert asked == {f"${{{name}}}" for name in known}


@pytest.mark.parametrize(
    "broken", [{"panels": [{"id": 1}]}, {"schemaVersion": "39"}, {"tiem": {}}, {"refresh": "soon"}]
)
def test_what_is_no_dashboard_is_refused(broken: dict[str, Any]):
    with pytest.raises(ValidationError):
        Dashboard.model_validate(json.loads(FILE.read_text(encoding="utf-8")) | broken)
