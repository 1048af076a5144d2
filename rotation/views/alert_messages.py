"""Alerts in words: as a sentence for pages, and as a message for channels, where one cause is one line."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime

from babel.dates import format_datetime

from rotation.facts.lifecycle import AlertKind
from rotation.language import labels
from rotation.language.catalogues import Language
from rotation.language.labels import ALERT_SENTENCES, N_
from rotation.network import Network
from rotation.views.notices import Alert

MOST_LINES = 20  # of a message: whoever gets more looks at the page
MOST_PLACES = 3  # named in a line


def numbers(language: Language, instant: Callable[[datetime], str], alert: Alert) -> str:
    """Return the numbers behind an alert as a sentence; numbers without a sentence show as they are."""
    values = {"coming": 0, **alert.numbers}  # alerts opened by an earlier version counted the shelf alone
    for moment in ("planned", "reported", "counted"):
        if moment in values:
            values[moment] = instant(datetime.fromisoformat(values[moment]))
    if alert.kind == AlertKind.STANDSTILL:
        return str(alert.numbers[language.code])
    try:
        return language.say(ALERT_SENTENCES[alert.kind], **values)
    except KeyError:
        return ", ".join(f"{key} {value}" for key, value in alert.numbers.items())


def message(network: Network, language: Language, alerts: Sequence[Alert]) -> tuple[str, str]:
    """Return the subject and text of a message about alerts, one line a cause: a kind in a hub's area, the most first."""
    causes: dict[tuple[str, str], list[Alert]] = defaultdict(list)
    for alert in alerts:
        area = (network.hub_of(alert.place_id) or "") if alert.place_id in network.place else ""
        causes[alert.kind, area].append(alert)
    ordered = sorted(causes.items(), key=lambda cause: (-len(cause[1]), cause[0]))
    lines = [_line(network, language, area, some) for (_, area), some in ordered[:MOST_LINES]]
    if len(ordered) > MOST_LINES:
        lines.append(language.say(N_("further causes: %(n)s; see the page of alerts"), n=len(ordered) - MOST_LINES))
    subject = language.say(
        N_("%(network)s: new alerts: %(n)s"), network=_name(network.network.name, language), n=len(alerts)
    )
    return subject, "\n".join(lines)


def _line(network: Network, language: Language, area: str, alerts: Sequence[Alert]) -> str:
    kind = language.say(labels.ALERTS.get(AlertKind(alerts[0].kind), alerts[0].kind))
    where = _place(network, language, area) if area else language.say(N_("the whole network"))
    if len(alerts) == 1:
        said = numbers(language, _instant(network, language), alerts[0])
        return f"{kind} · {_place(network, language, alerts[0].place_id)}: {said}"
    places = list(dict.fromkeys(_place(network, language, alert.place_id) for alert in alerts))
    some = language.say(N_(", ")).join(places[:MOST_PLACES])
    return f"{kind} · {where}: {len(alerts)} ({some}{'…' if len(places) > MOST_PLACES else ''})"


def _instant(network: Network, language: Language) -> Callable[[datetime], str]:
    return lambda at: str(format_datetime(at, "short", tzinfo=network.timezone, locale=language.locale))


def _place(network: Network, language: Language, place_id: str) -> str:
    place = network.place.get(place_id)
    return _name(place.name, language) if place else place_id


def _name(names: object, language: Language) -> str:
    return str(getattr(names, language.code))
