"""The application: all routes behind the guard."""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from facerecon.contract import INPAINTING, LANDMARKS, RESTORATION
from facerecon.inference.regions import DILATION, REGIONS
from facerecon.marks import MEASURED, RECONSTRUCTED, RESTORED
from serving.guard import OPEN, Guard
from serving.live import live_routes
from serving.measurements import ServedModel
from serving.metrics import MEDIA_TYPE, Gauge
from serving.pages import docs_page, main_page, opened_page, refusal_page
from serving.photos import photo_routes, refusals, served_model
from serving.problems import MEDIA_TYPE as PROBLEM
from serving.problems import UNEXPECTED, ClientGoneError, ProblemError
from serving.served import Served
from serving.service import Service
from serving.videos import video_routes

_SMALL = 100_000
"""So many bytes may be sent to what takes no files."""


class AboutModel(ServedModel):
    """A model that is served: its task and network, the licence of its training data, and by which name it is followed.

    ``trouble`` says so if the registry does not answer, or no longer has it: the model that is loaded is served on.
    """

    task: str
    family: str
    size: int
    scale: int
    licence: str
    follows: str | None
    trouble: str


class Models(BaseModel):
    """What is served, and what can be asked of it."""

    models: list[AboutModel]
    regions: list[str]
    dilation: float
    megapixels: float
    photo_mb: float
    video_mb: float


class Health(BaseModel):
    """One word."""

    status: str


def make_app(service: Service) -> ASGIApp:
    """The application of a service."""
    app = FastAPI(
        title="facerecon",
        version=version("facerecon"),
        description=RECONSTRUCTED.statement,
        docs_url=None,
        redoc_url=None,
        openapi_url="/v1/openapi.json",
    )
    for error, handler in (
        (ProblemError, _problem),
        (HTTPException, _http_error),
        (ClientGoneError, _gone),
        (Exception, _unexpected),
    ):
        app.add_exception_handler(error, handler)
    every = (photo_routes(service), video_routes(service), live_routes(service), _about(service), _doors(service))
    for routes in (*every, _pages(service, app)):
        app.include_router(routes)
    app.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"), "static")
    app.openapi = _described(app)  # type: ignore[method-assign]
    return Guard(app, service.access, service.metrics, service.settings, _limits(service))


def _described(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """The OpenAPI document: errors are problem+json and nothing else, and a token or a cookie is needed."""
    plain = app.openapi

    def described() -> dict[str, Any]:
        if app.openapi_schema is not None:
            return app.openapi_schema
        schema = plain()
        for path, methods in schema["paths"].items():
            for operation in methods.values():
                if path in OPEN:
                    operation["security"] = []
                for answer in operation["responses"].values():
                    content = answer.get("content", {})
                    if "ProblemDetails" in content.get("application/json", {}).get("schema", {}).get("$ref", ""):
                        content[PROBLEM] = content.pop("application/json")
        schema["components"]["securitySchemes"] = {
            "token": {"type": "http", "scheme": "bearer"},
            "session": {"type": "apiKey", "in": "cookie", "name": "facerecon-PORT"},
        }
        schema["security"] = [{"token": []}, {"session": []}]
        return schema

    return described


def _limits(service: Service) -> Callable[[str], int]:
    photo, video = (int(mb * 1e6) for mb in (service.settings.photo_mb, service.settings.video_mb))

    def limit_of(path: str) -> int:
        if path == "/v1/videos":
            return video
        return photo if path.startswith("/v1/") else _SMALL

    return limit_of


async def _problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    return error.response()


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    return ProblemError(status, f"{status.phrase.lower()}: see /docs", error.headers).response()


async def _gone(_: Request, __: Exception) -> Response:
    # nobody reads it
    return Response(status_code=499)


async def _unexpected(_: Request, __: Exception) -> Response:
    return UNEXPECTED.response()


def _about(service: Service) -> APIRouter:
    """What tells of the service itself."""
    routes = APIRouter(tags=["service"])
    refused = refusals(401, 421)

    @routes.get("/v1/models", summary="The models that are served, one a task", responses=refused)
    async def models() -> Models:
        """Each follows its champion; each answer names the version that made it."""
        settings = service.settings
        return Models(
            models=[_about_model(served) for served in service.served if served.loaded is not None],
            regions=list(REGIONS),
            dilation=DILATION,
            megapixels=settings.megapixels,
            photo_mb=settings.photo_mb,
            video_mb=settings.video_mb,
        )

    @routes.get("/livez", summary="Whether the process is alive", responses=refusals(421))
    async def livez() -> Health:
        """Needs no token."""
        return Health(status="alive")

    @routes.get(
        "/readyz",
        summary="Whether requests are taken",
        responses=refusals(421, 503),
    )
    async def readyz() -> Health:
        """Needs no token."""
        if service.pool.draining:
            raise ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, "the service is about to end", {"retry-after": "10"})
        return Health(status="ready")

    @routes.get("/metrics", summary="Counts for Prometheus", response_class=PlainTextResponse, responses=refused)
    async def metrics() -> Response:
        """Requests by path and status, their seconds, what waits, the model, and whether the registry answers."""
        videos = await asyncio.to_thread(service.jobs.counts)
        return Response(service.metrics.text(_gauges(service, videos)), media_type=MEDIA_TYPE)

    return routes


def _about_model(served: Served) -> AboutModel:
    loaded = served.current
    details = loaded.facts.details
    trouble = "the registry does not answer, or no longer has it: served on; the log says more"
    return AboutModel(
        **served_model(loaded.model).model_dump(),
        task=served.task,
        family=details["family"],
        size=int(details["size"]),
        scale=int(details.get("scale", "1")),
        licence=details["licence"],
        follows=None if served.is_file else served.wanted or "@champion",
        trouble=trouble if served.trouble else "",
    )


def _gauges(service: Service, videos: dict[str, int]) -> list[Gauge]:
    pool, served = service.pool, service.served
    models = [{**served_model(each.loaded.model).model_dump(), "task": each.task} for each in served if each.loaded]
    trouble = any(each.trouble for each in served)
    return [
        *(("facerecon_videos", "Videos by state.", {"state": state}, count) for state, count in videos.items()),
        ("facerecon_requests_held", "Photos being made, uploaded or waiting.", {}, pool.held),
        *(("facerecon_model", "A model that is served.", model, 1) for model in models),
        ("facerecon_registry_answers", "Whether the champions can be followed.", {}, int(not trouble)),
    ]


def _doors(service: Service) -> APIRouter:
    """How a browser comes in."""
    routes, access = APIRouter(include_in_schema=False), service.access

    def let_in(secret: str | None) -> Response:
        if secret is None:
            return HTMLResponse(refusal_page(wrong=True), HTTPStatus.UNAUTHORIZED)
        answer = HTMLResponse(opened_page())
        answer.set_cookie(access.cookie, secret, int(access.session_seconds), httponly=True, samesite="strict")
        return answer

    @routes.get("/open")
    async def by_code(request: Request) -> Response:
        return let_in(access.open_by_code(request.query_params.get("code", "")))

    @routes.post("/open")
    async def by_token(request: Request) -> Response:
        async with request.form(max_files=0, max_fields=4) as form:
            return let_in(access.open_by_token(str(form.get("token", ""))))

    return routes


def _pages(service: Service, app: FastAPI) -> APIRouter:
    routes, settings = APIRouter(include_in_schema=False), service.settings

    @routes.get("/")
    async def page() -> Response:
        loaded = {each.task: str(each.loaded.model) for each in service.served if each.loaded}
        about = {
            "model": loaded.get(INPAINTING.task),
            "restorer": loaded.get(RESTORATION.task),
            "locator": loaded.get(LANDMARKS.task),
            "not_reconstructing": service.lacking(INPAINTING.task),
            "not_restoring": service.lacking(RESTORATION.task),
            "not_locating": service.lacking(LANDMARKS.task),
            "names": list(REGIONS),
            "statement": RECONSTRUCTED.statement,
            "restored": RESTORED.statement,
            "measured": MEASURED.statement,
            "photo_mb": f"{settings.photo_mb:g}",
            "megapixels": f"{settings.megapixels:g}",
            "video_mb": f"{settings.video_mb:g}",
            "keep_hours": f"{settings.keep_hours:g}",
        }
        return HTMLResponse(main_page(**about))

    @routes.get("/docs")
    async def docs() -> Response:
        return HTMLResponse(docs_page(app.openapi()))

    return routes
