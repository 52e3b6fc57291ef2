"""Failures of the API as problem+json (RFC 9457), each with what to do about it."""

from http import HTTPStatus

import msgspec
from aiohttp import web

from bootyard.model.document import encode


class Problem(Exception):
    """Ends a request with an answer that says what is wrong and how to put it right."""

    def __init__(
        self, status: int, detail: str, cure: str, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.cure = cure
        self.headers = headers


class ProblemBody(msgspec.Struct, frozen=True, kw_only=True):
    """What a client reads."""

    title: str
    status: int
    detail: str
    cure: str


def problem_response(problem: Problem) -> web.Response:
    """Write a problem."""
    body = ProblemBody(
        title=HTTPStatus(problem.status).phrase,
        status=problem.status,
        detail=problem.detail,
        cure=problem.cure,
    )
    return web.Response(
        status=problem.status,
        body=encode(body),
        content_type="application/problem+json",
        headers=problem.headers,
    )
