"""Forms of the network's rows: shown with the day on which they hold, and saved or sent back with the mistakes."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Annotated, Any

from fastapi import Depends, Form, HTTPException, Request, Response
from sqlalchemy import Connection, func, select

from rotation.facts.clock import Day
from rotation.language.catalogues import Language
from rotation.language.labels import N_
from rotation.language.network_mistakes import in_words
from rotation.network import NetworkError
from rotation.store import networks
from rotation.store.network_text import SINGLE, NetworkChange, NoSuchRow, row_of
from rotation.store.networks import Author, ChangedMeanwhile
from rotation.store.tables import network_changes
from rotation.views import upkeep
from rotation.views.upkeep import EXCEPTION, TypedField
from rotation.web import flash
from rotation.web.context import Web, language_of, network_today
from rotation.web.render import page

NEW = "_new"  # no row's id begins so
SAVED = N_("Saved. It holds from %(day)s; the night that plans that day heeds it.")
BEFORE_TODAY = N_("That day is over. Choose today or a later day.")
MISTAKES = N_("Nothing was changed: %(mistakes)s")
MEANWHILE = N_(
    "%(who)s changed this on %(when)s. Nothing was lost: the page shows that change, and your input where you had changed "
    "something. Look, and save again."
)

MEANWHILE_IMPORT = N_("%(who)s changed the network meanwhile. Nothing was taken in; compare the file again.")


async def sent_form(request: Request) -> dict[str, list[str]]:
    """Return a form's fields with all their values."""
    form = await request.form()
    return {name: [one for one in form.getlist(name) if isinstance(one, str)] for name in form}


Typed = Annotated[Mapping[str, Sequence[str]], Depends(sent_form)]
HoldsFrom = Annotated[Day, Form()]
Seen = Annotated[int, Form(ge=0)]
Why = Annotated[str, Form(max_length=300)]


def last_number(connection: Connection) -> int:
    """Return the number of the last change of the network; 0 before the first."""
    return connection.scalar(select(func.max(network_changes.c.number))) or 0


def row_page(request: Request, web: Web, connection: Connection, table: str, row_id: str, on: date | None) -> Response:
    """Answer with a row's form as the row holds on a day, by default today."""
    day = on or network_today(web, connection)
    values = form_values(web, connection, language_of(request), table, row_id, day)
    title = upkeep.TABLES.get(table, N_("Closures"))
    tab = "closures" if table == EXCEPTION else "upkeep"
    return page(request, "upkeep_row.html", tab=tab, title=title, table=table, row_id=row_id, **values)


def form_values(
    web: Web, connection: Connection, language: Language, table: str, row_id: str, day: date
) -> dict[str, Any]:
    """Return the values of a row's form on a day; 404 where there is no such row then."""
    found = row_on(web, connection, table, row_id, day)
    if found is None:
        raise HTTPException(404, "row")
    offered = {field.of: upkeep.options(web.network, field.of) for field in upkeep.FIELDS[table] if field.of}
    versions = [
        one for one in networks.history(connection) if any((c.table, c.id) == (table, row_id) for c in one.changes)
    ]
    return {
        "fields": upkeep.FIELDS[table],
        "texts": {name: text for field in upkeep.FIELDS[table] for name, text in upkeep.shown(field, found).items()},
        "offered": offered,
        "owner_names": {owner.id: getattr(owner.name, language.code) for owner in web.network.owners},
        "weekdays": upkeep.WEEKDAY_NAMES,
        "kinds": upkeep.FieldKind,
        "today": network_today(web, connection),
        "day": day,
        "seen": last_number(connection),
        "versions": versions[::-1],
        "is_new": row_id == NEW,
        "action": f"/closures/{row_id}" if table == EXCEPTION else f"/upkeep/{table}/{row_id}",
        "is_single": table in SINGLE,
    }


def row_on(
    web: Web, connection: Connection, table: str, row_id: str, day: date, seen: int | None = None
) -> Mapping[str, Any] | None:
    """Return a row as a form shows it on a day, up to the version `seen`: empty where it is new, None where there is none."""
    if row_id == NEW:
        return {}
    return row_of(networks.standing(connection, web.settings.network_file(), day, seen).tables(), table, row_id)


def clean(text: str) -> str:
    """Return a line of input without NUL and spaces around."""
    return text.replace("\0", "").strip()


class Saving:
    """A change that a form asks for, and the answer to it: back to the form with the mistakes and the input kept."""

    def __init__(self, request: Request, web: Web, connection: Connection, language: Language, by: Author) -> None:
        self._request, self._web, self._connection, self._language, self._by = request, web, connection, language, by

    def save(
        self,
        table: str,
        row_id: str,
        form: Mapping[str, Sequence[str]],
        holds_from: date,
        seen: int,
        on: date,
        *,
        new_id: str,
    ) -> Response:
        """Change the fields that differ from the form as it was shown: the row as of the day `on`, up to the version `seen`."""
        found = row_on(self._web, self._connection, table, row_id, on, seen)
        if found is None:
            raise HTTPException(404, "row")
        typed = upkeep.changed(table, found, form)
        given_id = new_id if row_id == NEW else "" if table in SINGLE else row_id
        values = {name: one.value for name, one in typed.items()}
        change = NetworkChange(table, given_id, {"id": given_id, **values} if row_id == NEW else values)
        here = "/closures" if table == EXCEPTION else f"/upkeep/{table}"
        form_at = here if table == EXCEPTION and row_id == NEW else f"{here}/{row_id}"
        to = here if row_id == NEW and table not in SINGLE else form_at
        if not typed:
            return flash.back(self._request, form_at, self._language.say(N_("Nothing differs.")))
        return self.write([change], holds_from, seen, to, refused_to=form_at, typed=typed, new_id=new_id)

    def write(
        self,
        changes: Sequence[NetworkChange],
        holds_from: date,
        seen: int,
        to: str,
        *,
        refused_to: str = "",
        typed: Mapping[str, TypedField] | None = None,
        new_id: str = "",
    ) -> Response:
        """Write changes, and go to the page `to`, or back with the mistakes."""
        say, back_to = self._language.say, refused_to or to
        inputs = [("holds_from", str(holds_from)), ("why", self._by.why), ("new_id", new_id)]
        inputs += [pair for one in (typed or {}).values() for pair in one.inputs]
        if holds_from < network_today(self._web, self._connection):
            return flash.back(self._request, back_to, say(BEFORE_TODAY), typed=inputs)
        file = self._web.settings.network_file()
        try:
            networks.change(self._connection, file, changes, holds_from, self._by, seen)
        except ChangedMeanwhile as error:
            when = error.version.made_at.astimezone(self._web.network.timezone)
            message = say(MEANWHILE, who=error.version.who, when=f"{when:%Y-%m-%d %H:%M}")
            return flash.back(self._request, back_to, message, typed=inputs)
        except NetworkError as error:
            beside, others = self._mistakes(error, changes, holds_from)
            message = say(MISTAKES, mistakes="; ".join([*beside.values(), *others]))
            return flash.back(self._request, back_to, message, typed=inputs, beside=beside)
        self._web.look(self._connection)
        return flash.back(self._request, to, say(SAVED, day=str(holds_from)), is_bad=False)

    def _mistakes(
        self, error: NetworkError, changes: Sequence[NetworkChange], day: date
    ) -> tuple[dict[str, str], list[str]]:
        try:
            whole = networks.standing(self._connection, self._web.settings.network_file(), day).with_changes(changes)
            return upkeep.beside_fields(error.faults, changes[0].table, changes[0].id, whole.tables(), self._language)
        except NoSuchRow:
            return {}, [in_words(one.what, self._language) for one in error.faults]
