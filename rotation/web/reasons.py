"""Why a copy moves, and why something is not served: a sentence from a code and the numbers that decided it."""

from collections.abc import Mapping
from typing import Any

from rotation.network import Network
from rotation.web.language import Language
from rotation.web.words import N_

SENTENCES: Mapping[str, str] = {
    # why a copy moves (rotation.rebalancing.outcome.Code)
    "readers_wait": N_("A reader waits for it there."),
    "requested": N_("It belongs to a set that was asked for."),
    "floor": N_("The shelf there is below what the city promises."),
    "fresh_quota": N_("The room there is due for fresh copies."),
    "stale_here": N_("Nobody has borrowed it here for long."),
    "borrowed_more": N_("It is borrowed more there."),
    "new_stock": N_("New stock is sent where it is borrowed most."),
    "stays": N_("It stays: no other place is worth the way."),
    "goes_home": N_("It goes home."),
    "no_prices": N_("No night's prices are known yet, so it goes where the setting says."),
    # why something is not served (rotation.courier.legs.Code, solver.explain)
    "no_van": N_("No van of the hub could serve it that day; it waits for the next."),
    "closed": N_("The place is closed."),
    "no_coordinates": N_("The place has no coordinates, so that no van can be sent there."),
    "no_hub": N_("No hub serves the place."),
    "unknown_place": N_("The place is not in the network file."),
    "already_there": N_("It is there already."),
}


def sentence(reason: Mapping[str, Any], language: Language, network: Network) -> str:
    """Return the reason as one sentence; an unknown code shows as itself."""
    code = str(reason.get("code", ""))
    return language.say(SENTENCES[code]) if code in SENTENCES else code
