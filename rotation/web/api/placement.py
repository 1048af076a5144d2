"""`POST /placement`: a desk, a sorter or a machine asks where the returned copy in its hand goes next."""

from threading import Lock
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Request
from pydantic import BaseModel, ConfigDict, Field

from rotation.hands.desk import Desk, UnknownCopy, UnknownPlace
from rotation.web.context import CalledBy, at_place, web_of
from rotation.web.once import OnceRoute

router = APIRouter(route_class=OnceRoute)
_making = Lock()

Id = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^\x00]*$")]


class Question(BaseModel):
    """A copy that has come back at a place."""

    model_config = ConfigDict(extra="forbid")

    copy_id: Id = Field(alias="copy")
    place: Id


class PlacementResponse(BaseModel):
    """Where it goes; `transfer` is null where it stays. `reason` is a code with the numbers that decided it."""

    to: str
    transfer: str | None
    gain_loans: float
    reason: dict[str, Any]


def desk_of(request: Request) -> Desk:
    """Return the process's desk, made by the first question."""
    state, web = request.app.state, web_of(request)
    with _making:
        if not hasattr(state, "desk"):
            state.desk = Desk(web.engine, web.network, web.settings)
        desk: Desk = state.desk
    return desk


@router.post("/placement", responses={404: {"description": "A copy never heard of, or a place not in the network"}})
def place(question: Question, request: Request, caller: CalledBy) -> PlacementResponse:
    """Answer from the last night's prices and the present levels; asked again, the answer is the same."""
    at_place(caller, question.place)
    try:
        direction = desk_of(request).place(question.copy_id, question.place)
    except UnknownCopy as error:
        raise HTTPException(404, f"no copy {question.copy_id!r}") from error
    except UnknownPlace as error:
        raise HTTPException(404, f"no place {question.place!r}") from error
    return PlacementResponse(
        to=direction.to,
        transfer=direction.transfer,
        gain_loans=round(direction.gain_loans, 4),
        reason=dict(direction.reason),
    )
