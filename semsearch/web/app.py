"""The application: what is asked by HTTP, passed on to the library, and the page.

Deliberately not here: who may ask (`guard`), threads (`service`), sockets (`server`).
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from fastapi import Depends, FastAPI, Query
from fastapi import Path as InPath
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Match, Route
from starlette.staticfiles import StaticFiles

from semsearch._version import __version__
from semsearch.errors import InputError, SemsearchError
from semsearch.index import Index
from semsearch.limits import DeadlineExceeded
from semsearch.records import Mode
from semsearch.render import safe_json
from semsearch.web import schemas
from semsearch.web.batching import Asked, Busy
from semsearch.web.guard import Guard
from semsearch.web.problems import MEDIA_TYPE, problem, status_of, told_as_problem
from semsearch.web.request_limits import check_answer, check_searches, parse_conditions
from semsearch.web.schemas import Limit, Question, Where
from semsearch.web.service import WAITING, Service

__all__ = ["create_app"]

logger = logging.getLogger("semsearch")

_PAGE = Path(__file__).parent / "page"
_ABOUT = "Asks one's own articles: ranked passages that answer a question, each with its place."
_MOST_NEIGHBOURS = 50
_MOST_PASSAGES = 1000

Explain = Annotated[bool, Query(description="Whether each hit says how its score came about.")]
Neighbours = Annotated[int, Query(ge=0, le=_MOST_NEIGHBOURS)]
First = Annotated[int, Query(ge=0, le=2**31, description="The place of the first one wanted, counted from 0.")]
PublicId = Annotated[str, InPath(max_length=40)]
Responses: TypeAlias = dict[int | str, dict[str, Any]]


def create_app(index: Index, *, token: str | None = None, hosts: Iterable[str] = (), waiting: int = WAITING) -> FastAPI:
    """An ASGI application that answers from an index, which stays the caller's to close.

    :param token: what has to be given as ``Authorization: Bearer``; None where everybody who reaches it may ask.
    :param hosts: names, beside ``localhost`` and addresses, by which it may be called.
    :param waiting: requests that may wait for a thread; more are told to come again.
    """
    service = Service(index, waiting=waiting)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await service.start()
        yield

    app = FastAPI(
        title="semsearch",
        version=__version__,
        description=_ABOUT,
        lifespan=lifespan,
        docs_url=None,  # they would be loaded from elsewhere
        redoc_url=None,
        middleware=[Middleware(Guard, token=token, hosts=tuple(hosts))],
        responses={status: _described(text) for status, text in _ALWAYS.items() if token or status != 401},
        # For the document alone: the guard looks at it.
        dependencies=[Depends(HTTPBearer(auto_error=False))] if token else [],
    )
    _tell_problems(app)
    _add_searches(app, service)
    _add_articles(app, service)
    _add_facts(app, service)
    _add_page(app)
    return app


def _described(text: str) -> dict[str, Any]:
    return {"description": text, "content": {MEDIA_TYPE: {"schema": schemas.Problem.model_json_schema()}}}


_ALWAYS = {
    401: "The token is missing or wrong.",
    403: "A page of another site sent the request, or links to it.",
    421: "Asked by a name that is not served.",
    422: "A parameter is missing, or is not what it should be.",
    431: "The address and headers are too long.",
    503: "Too many requests at a time, the answer took too long, or the index cannot be used.",
}
_INPUT: Responses = {400: _described("A question or condition is malformed, or a limit is exceeded.")}
_MISSING: Responses = {404: _described("There is none of that name, or not any more.")}
_SIZE: Responses = {413: _described("The request is too long.")}


def _json(document: str) -> Response:
    return Response(check_answer(document), media_type="application/json")


def _dumped(value: Any) -> str:
    return safe_json(json.dumps(value, ensure_ascii=False))


def _tell_problems(app: FastAPI) -> None:
    @app.exception_handler(SemsearchError)
    async def told(_: Request, error: Exception) -> Response:
        assert isinstance(error, SemsearchError)
        return problem(status_of(error), str(error))

    @app.exception_handler(Busy)
    @app.exception_handler(DeadlineExceeded)
    async def busy(_: Request, error: Exception) -> Response:
        return problem(503, str(error))

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        told = [f"{'.'.join(map(str, item['loc'][1:])) or item['loc'][0]}: {item['msg']}" for item in error.errors()[:5]]
        return problem(422, "; ".join(told))

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            # Of all that is asked at this path; the router tells those of the first.
            error.headers = {"Allow": ", ".join(sorted(_methods(app, request)))}
        return await told_as_problem(request, error)

    @app.exception_handler(Exception)
    async def failed(_: Request, __: Exception) -> Response:
        return problem(500, "semsearch failed: what went wrong is in its output")


def _methods(app: FastAPI, request: Request) -> set[str]:
    """What may be done with what a request names."""
    matching = [route for route in app.routes if isinstance(route, Route) and route.matches(request.scope)[0] != Match.NONE]
    return {method for route in matching for method in route.methods or ()} or {"GET", "HEAD"}  # of a file


def _add_searches(app: FastAPI, service: Service) -> None:
    @app.get("/search", response_model=schemas.Results, responses=_INPUT, tags=["search"])
    async def search(
        q: Annotated[Question, Query()],
        k: Annotated[Limit, Query()] = 10,
        mode: Annotated[Mode, Query()] = "hybrid",
        where: Annotated[Where, Query()] = [],  # noqa: B006 (FastAPI copies it)
        per_article: Annotated[Limit | None, Query()] = None,
        explain: Explain = False,
    ) -> Response:
        """The passages that answer a question best, as ``semsearch ask --json`` prints them."""
        return _json(await service.search(q, Asked(k, mode, parse_conditions(where), per_article, explain)))

    @app.post("/search", response_model=schemas.Answers, responses={**_INPUT, **_SIZE}, tags=["search"])
    async def search_many(wanted: schemas.Searches) -> Response:
        """The same for several questions."""
        check_searches(wanted.queries, wanted.k)
        how = Asked(wanted.k, wanted.mode, parse_conditions(wanted.where), wanted.per_article, wanted.explain)
        return _json(f'{{"results": [{", ".join(await service.search_many(wanted.queries, how))}]}}')


def _add_articles(app: FastAPI, service: Service) -> None:
    @app.get("/passages/{passage_id}", response_model=schemas.Excerpt, responses=_MISSING, tags=["articles"])
    async def passage(passage_id: PublicId, before: Neighbours = 1, after: Neighbours = 1) -> Response:
        """A passage with its neighbours in the article."""

        def answer() -> str:
            return _dumped(service.index.around(passage_id, before, after).to_dict())

        return await _found(answer)

    @app.get("/articles/{article_id}", response_model=schemas.Excerpt, responses=_MISSING, tags=["articles"])
    async def article(
        article_id: PublicId, first: First = 0, limit: Annotated[int, Query(ge=1, le=_MOST_PASSAGES)] = _MOST_PASSAGES
    ) -> Response:
        """An article's passages, in the order of its text."""

        def answer() -> str:
            return _dumped(service.index.article(article_id, first=first, limit=limit).to_dict())

        return await _found(answer)

    @app.get("/articles", response_model=schemas.ArticleList, responses=_INPUT, tags=["articles"])
    async def articles(
        where: Annotated[Where, Query()] = [],  # noqa: B006
        first: First = 0,
        limit: Annotated[int, Query(ge=1, le=_MOST_PASSAGES)] = 100,
    ) -> Response:
        """The articles of the index, by their sources."""
        wanted = parse_conditions(where)

        def answer() -> str:
            found = service.index.articles(where=wanted, first=first, limit=limit)
            return _dumped({"articles": [info.to_dict() for info in found]})

        return _json(await service.call(answer))

    async def _found(answer: Any) -> Response:
        try:
            document = await service.call(answer)
        except InputError as error:
            return problem(404, str(error))
        return _json(document)


def _add_facts(app: FastAPI, service: Service) -> None:
    @app.get("/facets", response_model=schemas.Facets, tags=["index"])
    async def facets() -> Response:
        """What the articles can be told apart by: their sources, dates and the values of their metadata."""
        return _json(await service.call(lambda: _dumped(service.facets().to_dict())))

    @app.get("/status", response_model=schemas.Status, tags=["index"])
    async def status() -> Response:
        """Facts on the index."""
        return _json(await service.call(lambda: _dumped(service.status())))

    @app.get("/healthz", response_model=schemas.Health, tags=["index"])
    async def healthz() -> Response:
        """The service is there."""
        return _json('{"status": "ok"}')

    app.add_api_route("/healthz", healthz, methods=["HEAD"], include_in_schema=False)


def _add_page(app: FastAPI) -> None:
    @app.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
    async def page() -> Response:
        return FileResponse(_PAGE / "index.html", media_type="text/html; charset=utf-8", headers={"Cache-Control": "no-cache"})

    app.mount("/static", _Files(directory=_PAGE), name="static")


class _Files(StaticFiles):
    """Kept by browsers, but asked for again, so that a page and its script are of one version; not so the icon."""

    def file_response(self, full_path: Any, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(full_path, *args, **kwargs)
        response.headers["Cache-Control"] = "max-age=86400" if str(full_path).endswith(".svg") else "no-cache"
        return response
