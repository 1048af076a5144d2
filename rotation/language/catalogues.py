"""Chinese and English: gettext catalogues, read from their .po files at start, and the choice between them.

The message in the source is the English sentence. A code from the database becomes a sentence in `words`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path

from babel import Locale
from babel.core import negotiate_locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import Translations

LOCALES = Path(__file__).parent / "locale"
ENGLISH, CHINESE = "en", "zh"
CATALOGUES = {CHINESE: "zh_CN", ENGLISH: "en"}
COOKIE = "language"


@dataclass(frozen=True, slots=True)
class Language:
    """A language with its messages."""

    code: str
    locale: Locale
    messages: Translations

    @property
    def html(self) -> str:
        """The `lang` of a page."""
        return "zh-CN" if self.code == CHINESE else "en"

    def say(self, message: str, **numbers: object) -> str:
        """Return the message with its numbers in this language."""
        text: str = self.messages.gettext(message)
        return text % numbers if numbers else text


@cache
def language(code: str) -> Language:
    """Return a language by its code, "zh" or "en"."""
    with (LOCALES / CATALOGUES[code] / "LC_MESSAGES" / "messages.po").open("rb") as file:
        catalogue = read_po(file, locale=CATALOGUES[code])
    compiled = BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return Language(code, Locale.parse(CATALOGUES[code]), Translations(compiled))


def chosen(cookies: Mapping[str, str], accept: str) -> Language:
    """Return the language of a request: the choice at the top of a page, else the browser's preference, else English."""
    cookie = cookies.get(COOKIE, "")
    return language(cookie if cookie in CATALOGUES else _asked_for(accept))


def _asked_for(accept: str) -> str:
    """Return the best of ours for an Accept-Language header such as "zh-TW,zh;q=0.9,en;q=0.8"."""
    wanted = sorted(map(_weighted, accept.split(",")), key=lambda item: -item[1])
    tags = [tag.split("-")[0] for tag, weight in wanted if weight > 0]
    return negotiate_locale(tags, list(CATALOGUES)) or ENGLISH


def _weighted(item: str) -> tuple[str, float]:
    tag, _, weight = item.strip().partition(";q=")
    try:
        return tag.lower(), float(weight or 1)
    except ValueError:
        return tag.lower(), 0.0
