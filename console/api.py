"""The HTTP API, ``/api/v1``: health, image sets, classifiers, label spaces, policies and the last alerts, read-only."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from importlib.metadata import version
from typing import Annotated, Any, Final, Protocol

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel
from starlette.exceptions import HTTPException as RoutingError

from console.services.endpoints import PAC_TYPE
from console.services.policies import PolicyBook
from console.start_page import HEADERS, start_page
from shared.adapters.alert_log import AlertLog
from shared.core.alert_format import to_ocsf
from shared.errors import PolicyError, SafelightError, StoreError, UsageError

PREFIX: Final = "/api/v1"
ALERTS_MOST: Final = 1000
PROBLEM_TYPE: Final = "application/problem+json"

_JPEG: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}}
}

_log = logging.getLogger(__name__)
_BEARER: Final = HTTPBearer(auto_error=False, description="The token in {data_dir}/console-token")


class SetView(BaseModel):
    """An image set."""

    name: str
    threshold: float
    relation: str
    thorough: bool | None
    prior: float
    keep_thumbnail: bool
    references: int


class ReferenceView(BaseModel):
    """A protected image: its name, its digest and what is kept of it, in bytes; never the picture."""

    reference: str
    name: str
    sha256: str
    bytes: dict[str, int]
    thumbnail: bool


class SetDetails(SetView):
    """An image set with its references."""

    items: list[ReferenceView]


class RevisionView(BaseModel):
    """What happened to an image set; ``kept``: what was removed can still be brought back."""

    revision: int
    at: datetime
    what: str
    reference: str | None
    name: str | None
    threshold: float | None
    rolled_back_to: int | None
    kept: bool


class ClassifierView(BaseModel):
    """A classifier in force: ``examples`` show a label, ``negatives`` none."""

    classifier: str
    revision: int
    labels: list[str]
    mode: str
    examples: int
    negatives: int


class ClassifierDetails(ClassifierView):
    """A classifier with its rates on images that it had not seen, as ``classifier show --json`` gives them."""

    encoder: str
    false_positives: dict[str, Any]
    strangers: dict[str, Any]
    rates: list[dict[str, Any]]
    confusions: list[dict[str, Any]]


class LabelSpaceView(BaseModel):
    """A label space in force: an image is given at most ``nearest`` labels, those whose score is ``within`` or more."""

    label_space: str
    revision: int
    labels: int
    nearest: int
    within: float
    encoder: str


class LabelSpaceDetails(LabelSpaceView):
    """A label space with its labels and its figures on pictures that it had not seen, as ``labels show --json``."""

    names: list[str]
    figures: dict[str, Any]


class PolicyView(BaseModel):
    """A policy in force."""

    name: str
    action: str
    mode: str
    severity: str
    deadline_ms: int


class PolicyDocument(BaseModel):
    """The policies in force, and the text they were applied from."""

    policies: list[PolicyView]
    text: str


class Health(BaseModel):
    """The API answers."""

    status: str
    version: str


class SetReader(Protocol):
    """Where image sets are read: a port, so that the API imports no role."""

    async def list(self) -> list[SetView]:
        """Return every set."""
        ...

    async def show(self, name: str) -> SetDetails:
        """Return one set; raises UsageError for an unknown name."""
        ...

    async def history(self, name: str) -> Sequence[RevisionView]:
        """Return a set's revisions that are kept, the oldest first; raises UsageError for an unknown name."""
        ...

    async def thumbnail(self, name: str, reference: str) -> bytes:
        """Return a reference's JPEG, empty where none is kept; raises UsageError for an unknown set or reference."""
        ...


class ClassifierReader(Protocol):
    """Where classifiers are read: a port as well."""

    async def list(self) -> list[ClassifierView]:
        """Return every classifier."""
        ...

    async def show(self, name: str) -> ClassifierDetails:
        """Return one classifier; raises UsageError for an unknown name."""
        ...


class LabelSpaceReader(Protocol):
    """Where label spaces are read: a port as well."""

    async def list(self) -> list[LabelSpaceView]:
        """Return every label space."""
        ...

    async def show(self, name: str) -> LabelSpaceDetails:
        """Return one label space; raises UsageError for an unknown name."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What the API serves."""

    sets: SetReader
    classifiers: ClassifierReader
    labels: LabelSpaceReader
    policies: PolicyBook
    alerts: AlertLog
    viewer_token: str
    pac: Callable[[], str]


def create_api(services: Services) -> FastAPI:
    """Return the application; all but health, OpenAPI document, first page and PAC file needs the token."""
    # No interactive documentation: it would load scripts from a content network.
    api = FastAPI(
        title="Safelight",
        version=version("safelight"),
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    for error, handler in _HANDLERS.items():
        api.add_exception_handler(error, handler)
    api.include_router(_open_routes())
    api.include_router(_endpoint_routes(services))
    api.include_router(_viewer_routes(services), dependencies=[Depends(_viewer(services.viewer_token))])
    return api


def _viewer(token: str) -> Callable[..., Awaitable[None]]:
    async def check(credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]) -> None:
        given = credentials.credentials if credentials else ""
        if not hmac.compare_digest(given.encode(), token.encode()):
            raise HTTPException(401, "a bearer token is needed", headers={"WWW-Authenticate": "Bearer"})

    return check


def _open_routes() -> APIRouter:
    router = APIRouter(prefix=PREFIX)

    @router.get("/health")
    async def health() -> Health:
        return Health(status="ok", version=version("safelight"))

    return router


def _endpoint_routes(services: Services) -> APIRouter:
    """Return what browsers fetch without a password: the first page, and before they know a proxy what names it."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    def start(request: Request) -> HTMLResponse:
        address = str(request.base_url).rstrip("/")
        return HTMLResponse(start_page(version=version("safelight"), prefix=PREFIX, address=address), headers=HEADERS)

    @router.get("/proxy.pac")
    @router.get("/wpad.dat")
    def pac() -> Response:
        return Response(services.pac(), media_type=PAC_TYPE, headers={"Cache-Control": "max-age=300"})

    return router


def _viewer_routes(services: Services) -> APIRouter:
    router = APIRouter(prefix=PREFIX)

    @router.get("/sets")
    async def sets() -> list[SetView]:
        return await services.sets.list()

    @router.get("/sets/{name}")
    async def set_details(name: str) -> SetDetails:
        return await services.sets.show(name)

    @router.get("/sets/{name}/history")
    async def history(name: str) -> Sequence[RevisionView]:
        return await services.sets.history(name)

    @router.get("/sets/{name}/references/{reference}/thumbnail", response_class=Response, responses=_JPEG)
    async def thumbnail(name: str, reference: str) -> Response:
        picture = await services.sets.thumbnail(name, reference)
        if not picture:
            raise HTTPException(404, f"{name} keeps no pictures of its references")
        return Response(picture, media_type="image/jpeg", headers={"Cache-Control": "no-store"})

    @router.get("/classifiers")
    async def classifiers() -> list[ClassifierView]:
        return await services.classifiers.list()

    @router.get("/classifiers/{name}")
    async def classifier_details(name: str) -> ClassifierDetails:
        return await services.classifiers.show(name)

    @router.get("/labels")
    async def labels() -> list[LabelSpaceView]:
        return await services.labels.list()

    @router.get("/labels/{name}")
    async def label_details(name: str) -> LabelSpaceDetails:
        return await services.labels.show(name)

    @router.get("/policies")
    async def policies() -> PolicyDocument:
        views = [
            PolicyView(
                name=policy.name,
                action=policy.action.value,
                mode=policy.mode.value,
                severity=policy.severity.value,
                deadline_ms=policy.deadline_ms,
            )
            for policy in await services.policies.list()
        ]
        return PolicyDocument(policies=views, text=await services.policies.text())

    @router.get("/alerts")
    async def alerts(count: Annotated[int, Query(ge=1, le=ALERTS_MOST)] = 100) -> Sequence[dict[str, object]]:
        newest = await services.alerts.last_position()
        logged = await services.alerts.read(max(0, newest - count), count)
        return [to_ocsf(alert) for alert in reversed(logged.alerts)]

    return router


async def _not_found(_: Request, error: Exception) -> JSONResponse:
    return _problem(404, "Not found", str(error))


async def _unavailable(_: Request, error: Exception) -> JSONResponse:
    return _problem(503, "The store is unavailable", str(error))


async def _unreadable(_: Request, error: Exception) -> JSONResponse:
    """What the store holds was written with another key or by another version: no fault of the request."""
    _log.error("the store holds what cannot be read: %s", error)
    return _problem(500, "The store holds what cannot be read", str(error))


async def _refused(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RoutingError)  # noqa: S101 - registered for it
    response = _problem(error.status_code, HTTPStatus(error.status_code).phrase, error.detail)
    response.headers.update(error.headers or {})
    return response


async def _malformed(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for it
    mistakes = [f"{'.'.join(str(step) for step in one['loc'])}: {one['msg']}" for one in error.errors()]
    return _problem(422, "The request does not validate", "; ".join(mistakes))


_HANDLERS: Final = {
    PolicyError: _unreadable,
    UsageError: _not_found,
    StoreError: _unavailable,
    SafelightError: _unreadable,
    RoutingError: _refused,
    RequestValidationError: _malformed,
}


def _problem(status: int, title: str, detail: str) -> JSONResponse:
    """RFC 9457 problem details."""
    values = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return JSONResponse(values, status_code=status, media_type=PROBLEM_TYPE)
