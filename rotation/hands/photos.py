"""Photos of faults at a stop: judged by content, drawn anew without the camera's notes, bounded."""

from dataclasses import dataclass
from datetime import datetime
from io import BytesIO

from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError
from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from rotation.store.tables import photos

FORMATS = ("JPEG", "PNG", "WEBP")
LARGEST_PIXELS = 60_000_000  # of today's phones; decoded they take 180 MB for a moment
SIDE_PIXELS = 1_600  # enough to read a label on it
QUALITY = 80
MOST_OF_A_RUN = 60


class NotAPhoto(ValueError):
    """Content that is no picture of a known kind, or too large a picture."""


class TooManyPhotos(ValueError):
    """The run has as many photos as are kept of it."""


@dataclass(frozen=True, slots=True)
class TakenPhoto:
    """A photo without its picture."""

    photo_id: str
    place_id: str
    who: str
    at: datetime
    note: str


def drawn_anew(content: bytes) -> bytes:
    """Return the picture as a JPEG of at most SIDE_PIXELS a side, upright, without place, time, device or any other note.

    Raises
    ------
    NotAPhoto
    """
    ImageFile.LOAD_TRUNCATED_IMAGES = (
        False  # WeasyPrint, once imported, lets Pillow take half a picture for a whole one
    )
    try:
        with Image.open(BytesIO(content), formats=FORMATS) as opened:
            if opened.width * opened.height > LARGEST_PIXELS:
                raise NotAPhoto(f"{opened.width} x {opened.height} pixels")
            opened.draft("RGB", (SIDE_PIXELS, SIDE_PIXELS))
            upright = ImageOps.exif_transpose(opened).convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as wrong:
        raise NotAPhoto(str(wrong)) from wrong
    upright.thumbnail((SIDE_PIXELS, SIDE_PIXELS))
    bare = Image.frombytes("RGB", upright.size, upright.tobytes())
    out = BytesIO()
    bare.save(out, "JPEG", quality=QUALITY)
    return out.getvalue()


def keep(connection: Connection, run_id: str, taken: TakenPhoto, content: bytes) -> None:
    """Keep a photo once, however often it is sent.

    Raises
    ------
    NotAPhoto, TooManyPhotos
    """
    if len(of_run(connection, run_id)) >= MOST_OF_A_RUN:
        raise TooManyPhotos(run_id)
    row = {name: getattr(taken, name) for name in TakenPhoto.__dataclass_fields__}
    kept = insert(photos).values(row | {"run_id": run_id, "jpeg": drawn_anew(content)})
    connection.execute(kept.on_conflict_do_nothing())


def of_run(connection: Connection, run_id: str) -> list[TakenPhoto]:
    """Return a run's photos, the oldest first, without their pictures."""
    columns = [photos.c[name] for name in TakenPhoto.__dataclass_fields__]
    query = select(*columns).where(photos.c.run_id == run_id).order_by(photos.c.at, photos.c.photo_id)
    return [TakenPhoto(*row) for row in connection.execute(query)]


def picture(connection: Connection, run_id: str, photo_id: str) -> bytes | None:
    """Return a photo's JPEG, None where the run has no such photo."""
    mine = (photos.c.run_id == run_id) & (photos.c.photo_id == photo_id)
    found: bytes | None = connection.scalar(select(photos.c.jpeg).where(mine))
    return found
