"""The catalogues kept in step with the source: `python -m rotation.language.extract` adds new messages and drops old ones.

Chinese is written into locale/zh_CN by hand. English is the message itself; its catalogue is there for plurals, and for a
library that wants other words.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from babel.messages import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

from rotation.language.catalogues import CATALOGUES, ENGLISH, LOCALES

SOURCES = Path(__file__).parent.parent
METHODS = [("web/templates/**.html", "jinja2"), ("**.py", "python")]
KEYWORDS = {"_": None, "N_": None, "ngettext": (1, 2), "gettext": None}
# Not silent: otherwise a template that Jinja cannot parse loses all its messages from both catalogues without a word.
OPTIONS = {"web/templates/**.html": {"trimmed": "true", "silent": "false"}}
LINE = 100


def extracted() -> Catalog:
    """Return every message of the templates and modules."""
    catalogue = Catalog()
    found = extract_from_dir(str(SOURCES), METHODS, OPTIONS, keywords=KEYWORDS)
    for file, _, message, comments, context in sorted(found, key=lambda row: (row[0], row[1])):
        catalogue.add(message, None, locations=[(file, 0)], auto_comments=comments, context=context)
    return catalogue


def path(locale: str) -> Path:
    """Return where a locale's messages are."""
    return LOCALES / locale / "LC_MESSAGES" / "messages.po"


def read(locale: str) -> Catalog:
    """Return a locale's catalogue; an empty catalogue if the locale has none yet."""
    if not path(locale).exists():
        return Catalog(locale=locale)
    with path(locale).open("rb") as file:
        return read_po(file, locale=locale)


def missing(locale: str) -> Iterator[str]:
    """Yield every message that the source has and the catalogue does not say, or says with other placeholders."""
    said = read(locale)
    for message in extracted():
        if not message.id:
            continue
        found = said.get(message.id)
        texts = found.string if found and isinstance(found.string, tuple) else (found.string if found else "",)
        if not found or not all(texts) or found.fuzzy or list(found.check(said)):
            yield str(message.id)


def update(locale: str) -> None:
    """Bring a locale's catalogue in step with the source; new messages are empty, in English the message itself."""
    catalogue, source = read(locale), extracted()
    catalogue.update(source, no_fuzzy_matching=True)
    catalogue.obsolete.clear()
    if locale == CATALOGUES[ENGLISH]:
        for message in catalogue:
            if (message.id and not message.string) or message.string == ("", ""):
                message.string = message.id
    path(locale).parent.mkdir(parents=True, exist_ok=True)
    with path(locale).open("wb") as file:
        write_po(file, catalogue, width=LINE, no_location=True, omit_header=True, sort_output=True)


if __name__ == "__main__":
    for name in CATALOGUES.values():
        update(name)
        for text in missing(name):
            print(f"{name}: {text}", file=sys.stderr)
