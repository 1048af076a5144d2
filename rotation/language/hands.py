"""A page's answer to a scan: a word, a large line, and why, from the answer's code and its values."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from rotation.language.catalogues import Language
from rotation.language.labels import N_


class HandWords(NamedTuple):
    """The word of a kind of answer, its large line, and why; empty where the word says it all."""

    word: str
    line: str = ""
    why: str = ""


LEAVE = N_("Leave it where it is.")
WORDS: Mapping[str, HandWords] = {
    # codes that name nothing, or too much
    "unknown_code": HandWords(
        N_("Unknown"), "%(scanned)s", N_("Nobody knows this code. Scan again or type the number.")
    ),
    "shared_code": HandWords(
        N_("Two copies have this code"),
        "%(titles)s",
        N_("Put it aside: the library system must give one a new barcode."),
    ),
    "other_time": HandWords(N_("Not counted"), "", N_("This scan was sent before as something else. Scan again.")),
    # picking
    "taken": HandWords(N_("Found"), N_("For %(to)s")),
    "picked_before": HandWords(N_("Found already"), N_("For %(to)s")),
    "answered_before": HandWords(N_("Answered already"), "", N_("Somebody has answered this line today.")),
    "not_on_list": HandWords(N_("Not on the list"), "", LEAVE),
    "not_found": HandWords(N_("Not found"), "", N_("You will be asked again after %(days)s days.")),
    "given_up": HandWords(
        N_("Missing"), "", N_("Looked for %(times)s times. It counts as missing until somebody finds it.")
    ),
    "found_again": HandWords(N_("Found again"), N_("Back on the shelf"), N_("It is in the stock again.")),
    # any copy that fits
    "fits": HandWords(N_("Yes"), N_("For %(to)s"), N_("Still wanted: %(left)s")),
    "enough": HandWords(N_("Enough"), N_("Back on the shelf"), N_("All that was asked for is in.")),
    "not_in_stock_here": HandWords(
        N_("No"), N_("Back on the shelf"), N_("It is not in the stock here: %(state)s, %(at)s.")
    ),
    "other_class": HandWords(N_("No"), N_("Back on the shelf"), N_("Wanted is %(wanted)s; this is %(title_class)s.")),
    "stays_here": HandWords(N_("No"), N_("Back on the shelf"), N_("Its owner does not lend it there.")),
    "twice": HandWords(N_("No"), N_("Back on the shelf"), N_("This title is there, or on its way there, already.")),
    "going_already": HandWords(N_("No"), N_("For %(to)s"), N_("It has an order already: leave it for that.")),
    "stood_there": HandWords(N_("No"), N_("Back on the shelf"), N_("It stood there on %(when)s.")),
    # crates
    "crate_closed": HandWords(N_("Crate closed"), "%(crate)s", N_("%(copies)s copies for %(to)s.")),
    "closed_before": HandWords(N_("Closed already"), "%(crate)s", N_("Scanned twice; it counts once.")),
    "crate_empty": HandWords(N_("Empty"), "%(crate)s", N_("Nothing was taken since the last crate was closed.")),
    "crate_in_use": HandWords(
        N_("Another crate's label"), "%(crate)s", N_("It was closed at %(at)s and has not been emptied.")
    ),
    # receiving
    "crate_to_count": HandWords(
        N_("For this place"), "%(crate)s", N_("%(copies)s copies should be in it. Count them.")
    ),
    "count_differs": HandWords(
        N_("The counts differ by %(differs)s"),
        N_("Scan each copy"),
        N_("What is not scanned stays on its way, and is looked for."),
    ),
    "crate_received": HandWords(N_("Received"), "%(crate)s", N_("%(copies)s copies are in the stock here.")),
    "crate_received_before": HandWords(
        N_("Received already"), "%(crate)s", N_("No copy of it is on its way any more.")
    ),
    "crate_unknown": HandWords(N_("Unknown crate"), "%(crate)s", N_("It was never closed for a place.")),
    "crate_other_place": HandWords(N_("Not for this place"), N_("For %(to)s"), N_("Give it to the next van.")),
    "crate_for_a_hub": HandWords(
        N_("For the hub"), N_("For %(to)s"), N_("It is sorted there: scan it on the hub's page.")
    ),
    "crate_not_collected": HandWords(
        N_("Not collected"), "%(crate)s", N_("No van has taken it yet: it stands at %(at)s.")
    ),
    "crate_elsewhere": HandWords(
        N_("Elsewhere"), "%(crate)s", N_("It was scanned last at %(at)s, on its way to %(to)s.")
    ),
    # a driver
    "handed_over": HandWords(N_("Handed over"), "%(crate)s"),
    "crate_taken": HandWords(N_("Taken"), "%(crate)s"),
    "crate_done": HandWords(N_("Done already"), "%(crate)s", N_("Scanned twice; it counts once.")),
    "bag_noted": HandWords(N_("Bag noted"), "%(crate)s", N_("Bags of this crate still to scan: %(rest)s")),
    "crate_of_another_stop": HandWords(N_("Not here"), N_("For %(to)s"), N_("Leave crate %(crate)s in the van.")),
    "crate_taken_here": HandWords(
        N_("Taken"), "%(crate)s", N_("It was scanned last at %(at)s; it is on this van from here on.")
    ),
    "unknown_crate_taken": HandWords(
        N_("Taken"), "%(crate)s", N_("Nobody closed this crate: its contents are counted at the hub.")
    ),
    "not_on_this_run": HandWords(N_("Not on this run"), "%(to)s", N_("The run has no stop there.")),
    "counts_agree": HandWords(N_("Both agree"), "%(to)s"),
    "counts_differ": HandWords(
        N_("The counts differ"), "%(to)s", N_("Both counts are kept. Count again together, or scan each crate.")
    ),
    "stop_missed": HandWords(N_("Not served"), "%(to)s", N_("Its crates are planned again.")),
    "stop_is_over": HandWords(N_("Done already"), "%(to)s", N_("This stop was scanned as served, or as missed.")),
    "photo_kept": HandWords(N_("Photo kept"), "%(to)s", N_("The dispatcher sees it.")),
    # a driver at a self-service machine
    "machine_served": HandWords(
        N_("Machine served"),
        "%(to)s",
        N_("Out of the bin: %(from_bin)s. Into slots: %(into_slots)s. Free slots: %(free_slots)s."),
    ),
    "slots_differ": HandWords(
        N_("The counts differ"),
        N_("Scan each copy"),
        N_(
            "%(expected)s copies came in crates, %(into_slots)s were put into slots. Scan those that are in the machine."
        ),
    ),
    "bin_wants_a_crate": HandWords(
        N_("Not counted"), "", N_("Scan the label of the crate that the %(from_bin)s copies of the bin lie in.")
    ),
    "more_free_than_slots": HandWords(
        N_("Not counted"), "", N_("The machine has %(slots)s slots. Count the free ones again.")
    ),
    "not_a_machine": HandWords(
        N_("Not a machine"), "%(to)s", N_("Bin and slots are counted at self-service machines only.")
    ),
    # a hub
    "into": HandWords(N_("Put it into"), "%(to)s", N_("Crate %(crate)s; the copy goes to %(goes_to)s.")),
    "sorted": HandWords(N_("Right"), "%(to)s", N_("Crate %(crate)s")),
    "mis_sort": HandWords(
        N_("Wrong crate"), "%(to)s", N_("It belongs into crate %(crate)s, not into %(other)s. Take it out again.")
    ),
    "for_the_hub": HandWords(N_("Keep"), N_("Stays here"), N_("It is for this place's own shelves.")),
    "not_travelling": HandWords(
        N_("Not on its way"), "", N_("It was last heard of at %(at)s: %(state)s. Check it in at the desk.")
    ),
    "set_down": HandWords(N_("Arrived"), "%(crate)s", N_("%(copies)s copies to sort.")),
    "stands_here": HandWords(N_("Here already"), "%(crate)s", N_("Scanned twice; it counts once.")),
    "nothing_inside": HandWords(N_("Empty"), "%(crate)s", N_("Nothing was sorted into it since it was closed.")),
    "hub_crate_closed": HandWords(N_("Crate closed"), "%(to)s", N_("%(copies)s copies in crate %(crate)s.")),
    "closed_too_early": HandWords(
        N_("Crate closed"), "%(to)s", N_("Later stops are loaded first, and their crates are still open: %(first)s")
    ),
    # the returns desk
    "send": HandWords(N_("Send on"), "%(to)s", "%(reason)s"),
    "keep": HandWords(N_("Keep"), N_("Stays here"), "%(reason)s"),
    "hold": HandWords(N_("Hold"), N_("Hold shelf"), "%(reason)s"),
    "not_understood": HandWords(N_("Not counted"), "", N_("Choose a place and a reason.")),
    "received_here": HandWords(N_("Received"), N_("To its shelf"), "%(stands)s"),
    "received_hold": HandWords(N_("Received"), N_("Hold shelf"), N_("A reader waits for it here.")),
    "received_before": HandWords(N_("Here already"), "", N_("It is in the stock here; nothing changed.")),
    "misrouted": HandWords(N_("Wrong place"), N_("For %(to)s"), N_("Put it into the crate for the hub.")),
    "not_awaited": HandWords(
        N_("Not awaited"), "", N_("It was last heard of at %(at)s: %(state)s. Check it in at the desk.")
    ),
}

Speak = Callable[[str, Any], str]


def words_of(code: str, values: Mapping[str, Any], language: Language, speak: Speak) -> HandWords:
    """Return the words of an answer; `speak` turns a value into words by its name (a place's id into its name)."""
    kind = WORDS.get(code, HandWords(code))
    spoken = {name: speak(name, value) for name, value in values.items()}
    return HandWords(
        *(language.say(text, **spoken) if text and "%(" in text else _plain(text, language) for text in kind)
    )


def _plain(text: str, language: Language) -> str:
    return language.say(text) if text else ""
