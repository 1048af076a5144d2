"""A person's changes to a hub's plan, in words."""

from collections.abc import Callable, Mapping
from typing import Any

from rotation.courier.edits import Edit, EditKind
from rotation.courier.problems import place_of
from rotation.language.catalogues import Language
from rotation.language.labels import N_
from rotation.language.names import van_names
from rotation.network import Network

EDIT_WORDS = {
    EditKind.MOVE: N_("%(visit)s → %(van)s"),
    EditKind.REMOVE: N_("%(visit)s taken out"),
    EditKind.SWAP_VANS: N_("%(van)s and %(to)s change runs"),
    EditKind.SPLIT: N_("From %(visit)s on → %(van)s, a tour of its own"),
    EditKind.START: N_("%(van)s starts at another time"),
    EditKind.LOCK: N_("%(visit)s %(van)s locked"),
    EditKind.UNLOCK: N_("%(visit)s %(van)s unlocked"),
    EditKind.SEARCH: N_("Improved around the changes"),
    EditKind.BROKEN: N_("%(van)s has broken down"),
    EditKind.LATE: N_("%(van)s is late"),
    EditKind.URGENT: N_("Urgent stop: %(visit)s"),
}


def edit_said(edit: Edit, network: Network, language: Language, named: Callable[[str], str] | None = None) -> str:
    """Return an edit in words; `named` names the place of a visit, where its plan is at hand."""
    vans = van_names(network, language)
    visit = edit.visit or (edit.stop.id if edit.stop else "")
    place = named(visit) if named else place_named(visit.rpartition(":")[2], network, language)
    return language.say(
        EDIT_WORDS[edit.kind], visit=place, van=vans.get(edit.van, edit.van), to=vans.get(edit.to_van, edit.to_van)
    )


def changes_said(details: Mapping[str, Any] | None, network: Network, language: Language) -> list[str]:
    """Return in words the changes to a plan that a decision's `details` hold; none where it changed none."""
    return [edit_said(Edit.model_validate(edit), network, language) for edit in (details or {}).get("edits", ())]


def place_named(stop: str, network: Network, language: Language) -> str:
    """Return the name of a stop's place; the stop's own id where the network does not know it."""
    known = network.place.get(place_of(stop))
    return getattr(known.name, language.code) if known else stop
