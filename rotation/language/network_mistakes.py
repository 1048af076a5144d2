"""The network reader's sentences in the language of the page; a sentence that is not known here stays as the reader has it."""

import re

from rotation.language.catalogues import Language
from rotation.language.labels import N_

SENTENCES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), message)
    for pattern, message in (
        (r"Input should be a valid (?:number|integer).*", N_("A number is expected.")),
        (r"Input should be greater than or equal to (?P<n>\S+)", N_("At least %(n)s is expected.")),
        (r"Input should be greater than (?P<n>\S+)", N_("More than %(n)s is expected.")),
        (r"Input should be less than or equal to (?P<n>\S+)", N_("At most %(n)s is expected.")),
        (r"String should match pattern .*", N_("These characters are not accepted here.")),
        (r"String should have at most (?P<n>\d+) characters?", N_("At most %(n)s characters are accepted.")),
        (r"Field required", N_("This is needed.")),
        (
            r"expected a (?:time|span) such as (?P<like>\S+), got (?P<got>.+)",
            N_("Expected hours such as %(like)s, got %(got)s."),
        ),
        (
            r"expected a weekday such as (?P<like>.+), got (?P<got>.+)",
            N_("Expected a weekday such as %(like)s, got %(got)s."),
        ),
        (r"expected a day such as (?P<like>\S+)", N_("Expected a day such as %(like)s.")),
        (r"(?P<got>\S+) ends before it begins.*", N_("%(got)s ends before it begins.")),
        (r"\S+: two spans overlap", N_("Two spans of a day overlap.")),
        (
            r"the last day, (?P<last>\S+), is before the first, (?P<first>\S+)",
            N_("The last day, %(last)s, is before the first, %(first)s."),
        ),
        (r"lat and lon go together", N_("Latitude and longitude go together.")),
        (
            r"lat (?P<lat>\S+), lon (?P<lon>\S+) is (?P<km>\d+) km from the others.*",
            N_("%(lat)s, %(lon)s is %(km)s km from the other places: are latitude and longitude swapped?"),
        ),
        (r"(?P<got>'.*') is no known (?P<of>.+)", N_("%(got)s is not known.")),
        (r"(?P<got>'.*') is its own ancestor.*", N_("%(got)s would be under itself.")),
        (
            r"a \S+ cannot belong to a \S+, which is a lower tier",
            N_("A place cannot be under a place of a lower tier."),
        ),
        (r"no van starts at (?P<got>'.*'); .*", N_("No van would start at %(got)s.")),
        (r"no hub above (?P<got>'.*'), .*", N_("No hub would be above %(got)s.")),
        (r"the id (?P<got>'.*') stands \d+ times.*", N_("The id %(got)s stands more than once.")),
        (
            r"no \S+ (?P<got>'.*'), from (?P<day>\S+) on",
            N_("A change that holds from %(day)s is about %(got)s, which would be gone."),
        ),
    )
)


def in_words(sentence: str, language: Language) -> str:
    """Return a sentence of the network reader in a language."""
    for pattern, message in SENTENCES:
        if found := pattern.fullmatch(sentence):
            return language.say(message, **found.groupdict())
    return sentence
