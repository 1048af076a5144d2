"""The city's settings: approval, budgets and prices, kept in the database once for all processes."""

from typing import Annotated, get_args

from fastapi import APIRouter, Form, Request, Response

from config import Settings
from rotation.language.labels import CITY_CHOICES, CITY_SETTINGS, N_
from rotation.store import city_settings
from rotation.store.city_settings import DECIDING, BadValue, NoSuchSetting
from rotation.web.context import CalledBy, Context, Database, InLanguage
from rotation.web.flash import back
from rotation.web.render import page

router = APIRouter(include_in_schema=False)
CHOICES = {name: get_args(Settings.model_fields[name].annotation) for name in ("approval", "policy_then", "desk_mode")}


@router.get("/city-settings")
def show(request: Request, web: Context, connection: Database) -> Response:
    """Show each setting with its value, and the values of this process that differ."""
    held = city_settings.decided(connection, web.own)
    return page(
        request,
        "city_settings.html",
        tab="upkeep",
        rows=[(name, CITY_SETTINGS[name], getattr(held, name)) for name in DECIDING],
        choices=CHOICES,
        choice_labels=CITY_CHOICES,
        differing=city_settings.differing(connection, web.own),
    )


@router.post("/city-settings/{name}")
def change(
    request: Request,
    web: Context,
    connection: Database,
    caller: CalledBy,
    language: InLanguage,
    name: str,
    value: Annotated[str, Form(max_length=40)] = "",
) -> Response:
    """Change a setting."""
    try:
        city_settings.change(connection, web.own, name, value.replace("\0", ""), caller.name)
    except NoSuchSetting:
        return back(request, "/city-settings", language.say(N_("There is no such setting.")))
    except BadValue as error:
        message = language.say(N_("Nothing was changed: %(mistakes)s"), mistakes=str(error))
        return back(request, "/city-settings", message, typed=[(name, value)])
    said = N_("Saved. The next plan heeds it.")
    return back(request, "/city-settings", language.say(said), is_bad=False)
