"""Signing in by the city's own accounts (OpenID Connect), beside local users.

The provider says who somebody is, and we decide on rights: a person must be a user here by the same name. Authlib checks state,
nonce, PKCE, signature, issuer, audience and times.
"""

from functools import cache

import structlog
from authlib.integrations.base_client import OAuthError
from authlib.integrations.starlette_client import OAuth, StarletteOAuth2App
from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse
from httpx import HTTPError
from joserfc.errors import JoseError

from config.settings import Settings
from rotation.accounts.security import SecurityEvent
from rotation.language.labels import N_
from rotation.web.context import Context
from rotation.web.pages.account import note_alone, open_session, own_address, user_named
from rotation.web.render import page

PROVIDER, NEXT = "city", "oidc_next"
DISCOVERY = "/.well-known/openid-configuration"
TIMEOUT_S = 10.0  # of each request to the provider

router = APIRouter(include_in_schema=False)
log = structlog.get_logger(__name__)


@router.get("/sign-in/city")
async def begin(request: Request, web: Context, next: str = "/") -> Response:
    """Send the browser to the provider."""
    request.session[NEXT] = own_address(next)
    try:
        answer: Response = await _client(web.settings).authorize_redirect(request, str(request.url_for("end")))
    except (HTTPError, OAuthError, ValueError) as error:
        return _away(request, error)
    return answer


@router.get("/sign-in/city/back")
async def end(request: Request, web: Context) -> Response:
    """Take the provider's answer, and sign in the user of that name."""
    try:
        token = await _client(web.settings).authorize_access_token(request)
    except (OAuthError, JoseError) as error:
        log.warning("oidc_refused", error=error.error)
        return _refused(request, N_("The city's sign-in was not completed. Try again."))
    except (HTTPError, ValueError) as error:
        return _away(request, error)
    name = str((token.get("userinfo") or {}).get(web.settings.oidc_claim) or "")
    known = await run_in_threadpool(user_named, web, name) if name else None
    if known is None:
        await run_in_threadpool(note_alone, request, web, SecurityEvent.NOT_ALLOWED, "")
        return _refused(
            request, N_("Your account is known to the city but not here. An administrator can add you by its name.")
        )
    address = own_address(request.session.get(NEXT, "/"))
    await run_in_threadpool(open_session, request, web, known.caller)
    return RedirectResponse(address, 303)


def _client(settings: Settings) -> StarletteOAuth2App:
    if not settings.oidc_issuer:
        raise HTTPException(404, "oidc")
    secret = settings.oidc_client_secret
    return _registered(settings.oidc_issuer, settings.oidc_client_id, secret.get_secret_value() if secret else None)


@cache
def _registered(issuer: str, client_id: str, secret: str | None) -> StarletteOAuth2App:
    """Return the provider's client, which keeps its discovery document."""
    oauth = OAuth()
    oauth.register(
        PROVIDER,
        client_id=client_id,
        client_secret=secret,
        server_metadata_url=issuer.rstrip("/") + DISCOVERY,
        client_kwargs={"scope": "openid profile email", "code_challenge_method": "S256", "timeout": TIMEOUT_S},
    )
    return oauth.create_client(PROVIDER)


def _away(request: Request, error: Exception) -> Response:
    log.warning("oidc_away", error=repr(error))
    return _refused(request, N_("The city's sign-in cannot be reached. Try again, or use a local user."), 503)


def _refused(request: Request, message: str, status: int = 401) -> Response:
    address = own_address(request.session.pop(NEXT, "/"))
    return page(request, "sign_in.html", status, next=address, message=message, name="")
