"""An adapter's map of columns or codes: a TOML file read into its model, with every mistake reported at once."""

import hashlib
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar
from zoneinfo import ZoneInfo

import orjson
from pydantic import AfterValidator, BaseModel, ValidationError

M = TypeVar("M", bound=BaseModel)


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"unknown time zone {name!r}") from error
    return name


TimeZone = Annotated[str, AfterValidator(_known_zone)]


def read(path: Path, model: type[M]) -> M:
    """Read the map; raises ValueError with every mistake, each with file and key."""
    try:
        return model.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ValueError(f"{path.name}: {error}") from error
    except ValidationError as error:
        faults = [f"{path.name}: {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise ValueError("\n".join(faults)) from error


def changes(before: Mapping[str, Any], now: Mapping[str, Any], under: str = "") -> Iterator[str]:
    """Yield a sentence for each key in which two maps differ, as they stand in the file: before and now."""
    for key in sorted({*before, *now}):
        name, was, is_now = f"{under}{key}", before.get(key), now.get(key)
        if isinstance(was, dict) and isinstance(is_now, dict):
            yield from changes(was, is_now, f"{name}.")
        elif was != is_now:
            yield f"the map has changed: {name} was {_shown(was)}, now {_shown(is_now)}"


def _shown(value: Any) -> str:
    return "not there" if value is None else repr(value)


def said(chosen: BaseModel) -> dict[str, Any]:
    """Return a map's content, as JSON keeps it."""
    return chosen.model_dump(mode="json")


def digest(chosen: BaseModel) -> str:
    """Return a text that differs where two maps do."""
    return hashlib.blake2b(orjson.dumps(said(chosen), option=orjson.OPT_SORT_KEYS), digest_size=8).hexdigest()
