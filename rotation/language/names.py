"""Names that people read in place of ids: of vans, and of decisions' subjects."""

from collections import defaultdict
from datetime import date

from babel.dates import format_date

from rotation.language.catalogues import Language
from rotation.language.labels import N_
from rotation.language.natural import natural
from rotation.network import Network, Van


def van_names(network: Network, language: Language) -> dict[str, str]:
    """Return each van's name: its own or, without a name, its hub's and its number there."""
    by_hub: dict[str, list[Van]] = defaultdict(list)
    for van in sorted(network.vans, key=lambda van: natural(van.id)):
        by_hub[van.hub].append(van)
    return {
        van.id: getattr(van.name, language.code) if van.name else _numbered(network, language, van, number)
        for vans in by_hub.values()
        for number, van in enumerate(vans, 1)
    }


def _numbered(network: Network, language: Language, van: Van, number: int) -> str:
    hub = network.place.get(van.hub)
    name = getattr(hub.name, language.code) if hub else van.hub
    return language.say(N_("%(hub)s, van %(n)s"), hub=name, n=number)


def subject_named(network: Network, language: Language, subject: str) -> str:
    """Return a decision's subject in words: "day:2026-03-12", "hub:2026-03-12:central", "run:20260312-van-1", "transfer:…"."""
    kind, _, rest = subject.partition(":")
    if kind == "day":
        return language.say(N_("The whole day, %(day)s"), day=_day(rest, language))
    if kind == "hub":
        day, _, hub = rest.partition(":")
        place = network.place.get(hub)
        name = getattr(place.name, language.code) if place else hub
        return language.say(N_("%(name)s, %(day)s"), name=name, day=_day(day, language))
    if kind == "run":
        day, _, van = rest.partition("-")
        return language.say(
            N_("%(name)s, %(day)s"), name=van_names(network, language).get(van, van), day=_day(day, language)
        )
    if kind == "network":
        return language.say(N_("The network"))
    return language.say(N_("Transfer %(id)s"), id=rest) if kind == "transfer" else subject


def _day(text: str, language: Language) -> str:
    try:
        return str(format_date(date.fromisoformat(text), "medium", locale=language.locale))
    except ValueError:
        return text
