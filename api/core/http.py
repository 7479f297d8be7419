"""The HTTP edge: who asks, under which trace, in which transaction, and how refusals look."""

import re
import time
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from typing import Annotated, Any, Concatenate, ParamSpec, Protocol, TypeVar, cast

import msgspec
import structlog
from litestar import MediaType, Request, Response
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException, ValidationException
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import HeaderParameter
from litestar.routes import HTTPRoute
from litestar.types import ASGIApp, Guard, HTTPScope, Message, Receive, Scope, Send
from sqlalchemy.exc import DBAPIError

from api.core import clock, idempotency, metrics, refusals, trace
from api.core.db import ActorContext, Database, WriteSession, as_refusal, unreadable_text
from api.core.errors import (
    FieldError,
    NotAllowed,
    NotSignedIn,
    Refusal,
    busy,
    invalid,
)

Header = tuple[bytes, bytes]
P = ParamSpec("P")
T = TypeVar("T")
log = structlog.get_logger()

PROBLEM_JSON = "application/problem+json"


class RequestActor(ActorContext, Protocol):
    """An actor as the edge needs it: can it do things that need somebody, or a role?"""

    @property
    def is_signed_in(self) -> bool: ...
    def has_role(self, *roles: str) -> bool: ...


ActorResolver = Callable[[str | None], Awaitable[RequestActor]]


class Problem(msgspec.Struct, kw_only=True):
    """problem+json (RFC 9457) with the rule, who can change it and what else is possible."""

    type: str
    title: str
    status: int
    detail: str
    rule: str
    who_can_change_it: str
    what_else: list[str]
    errors: list[FieldError]
    correlation_id: str


def _spec(description: str) -> ResponseSpec:
    return ResponseSpec(
        data_container=Problem,
        description=description,
        media_type=PROBLEM_JSON,
        generate_examples=False,
    )


ANSWERS: dict[int, ResponseSpec] = {
    400: _spec("It cannot be read as it is; each field is named"),
    401: _spec("Nobody is signed in, or the token is not known"),
    403: _spec("Not allowed for whoever is signed in"),
    404: _spec("Not there, or not there for you"),
    409: _spec("It clashes with how things are now"),
    410: _spec("No longer kept"),
    413: _spec("Too large"),
    422: _spec("Readable, and against a rule; the rule is named"),
    429: _spec("Too many tries; Retry-After says when"),
    500: _spec("Our mistake; nothing was changed"),
    503: _spec("Busy; nothing was changed, unless it says so; Retry-After says when"),
}


def allow(rule: str) -> Guard:
    """Return the guard that a route declares: "anyone", "signed_in" or "role:a,b".

    What exactly somebody may see is decided by services and row-level policies; this is the
    door. A test walks all routes and fails on one without it.
    """
    roles = tuple(rule.removeprefix("role:").split(",")) if rule.startswith("role:") else ()
    if not roles and rule not in ("anyone", "signed_in"):
        raise ValueError(f"unknown authorisation: {rule}")

    # Not a plain def: Litestar would run that in a thread, for every request.
    async def guard(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        actor: RequestActor = connection.user
        if rule == "anyone":
            return
        if not actor.is_signed_in:
            raise not_signed_in()
        if roles and not actor.has_role(*roles):
            raise NotAllowed(
                rule="role-needed",
                detail="This is for: " + ", ".join(name.replace("_", " ") for name in roles) + ".",
                who_can_change_it="The area's admin gives and takes roles.",
                what_else=["Ask somebody with that role to do it with you."],
            )

    guard.declares = rule  # type: ignore[attr-defined]
    return guard


def not_signed_in() -> NotSignedIn:
    """Return the refusal of somebody unknown."""
    return NotSignedIn(
        rule="sign-in-needed",
        detail="Kith does not know who is asking, or the sign-in has ended.",
        who_can_change_it="You can, by signing in again.",
        what_else=["POST /v1/sessions with your code.", "Browsing and asking need no sign-in."],
    )


class Authentication(AbstractAuthenticationMiddleware):
    """Turns the bearer token into an actor. A token that is not known is refused, never ignored."""

    async def authenticate_request(
        self, connection: ASGIConnection[Any, Any, Any, Any]
    ) -> AuthenticationResult:
        resolve: ActorResolver = connection.app.state.resolve_actor
        header = connection.headers.get("authorization")
        token: str | None = None
        if header is not None:
            scheme, _, token = header.partition(" ")
            if scheme.lower() != "bearer" or not token.strip():
                raise not_signed_in()
            token = token.strip()
        return AuthenticationResult(user=await resolve(token), auth=token)


class Work:
    """What a handler does its work with: the database, the actor and the time of this request."""

    def __init__(
        self,
        request: Request[Any, Any, Any],
        database: Database,
        key: str | None = None,
        status: int = 200,
    ) -> None:
        self._request = request
        self.database = database
        self.actor: Any = request.user
        self.now: datetime = clock.now()
        self._key = idempotency.check_key(key) if key is not None else None
        self._status = status

    async def write(
        self,
        service: Callable[Concatenate[WriteSession, P], Awaitable[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Call a service function in one transaction, committed before the answer leaves."""

        async def work(tx: WriteSession) -> T:
            return await service(tx, *args, **kwargs)

        return await self._run(work)

    async def once(
        self,
        returns: type[T],
        effect: Callable[[WriteSession], Awaitable[T]],
        again: Callable[[WriteSession, T], Awaitable[T]] | None = None,
    ) -> T:
        """Do ``effect`` in one transaction, once for this Idempotency-Key where one was sent."""
        if self._key is None:
            return await self._run(effect)
        body = await self._request.body()
        hashed = idempotency.request_hash(self._request.method, self._request.url.path, body)
        key = self._key

        async def work(tx: WriteSession) -> T:
            async def refresh(first: T) -> T:
                return await again(tx, first) if again is not None else first

            return await idempotency.once(
                tx,
                actor=self.actor,
                now=self.now,
                key=key,
                hashed=hashed,
                status=self._status,
                returns=returns,
                effect=lambda: effect(tx),
                again=refresh,
            )

        return await self._run(work)

    async def _run(self, work: Callable[[WriteSession], Awaitable[T]]) -> T:
        try:
            return await self.database.run(work, actor=self.actor, now=self.now)
        except Refusal as refusal:
            await refusals.leave(self.database, refusal, actor=self.actor, now=self.now)
            raise


async def provide_work(
    request: Request[Any, Any, Any], database: NamedDependency[Database]
) -> Work:
    """Give a handler its Work."""
    return Work(request, database)


async def provide_keyed(
    request: Request[Any, Any, Any],
    database: NamedDependency[Database],
    idempotency_key: Annotated[
        str | None,
        HeaderParameter(
            name="Idempotency-Key",
            description="16 to 128 random letters, digits or _ - . : The same key with the same "
            "request has one effect and one answer.",
        ),
    ] = None,
) -> Work:
    """Give a handler a Work that honours an Idempotency-Key."""
    handler = cast(HTTPRouteHandler, request.scope["route_handler"])
    return Work(request, database, idempotency_key, handler.status_code)


_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
# A string without an end reaches to the end: nothing is looked at twice.
_NESTING = re.compile(rb'"(?:[^"\\]|\\.)*"?|([\[{])|([\]}])', re.DOTALL)
_DEEPEST = 100


async def readable(request: Request[Any, Any, Any]) -> None:
    """Refuse, before it is decoded, a body that is no text or nested beyond all use.

    The decoder takes an escaped NUL, which PostgreSQL cannot keep, and it fails in ways of its
    own on half a character or a thousand brackets.
    """
    if request.method not in ("POST", "PUT", "PATCH"):
        return
    body = await request.body()
    try:
        body.decode()
    except UnicodeDecodeError:
        raise unreadable_text() from None
    if _NUL.search(body):
        raise unreadable_text()
    if body.count(b"[") + body.count(b"{") > _DEEPEST and _depth(body) > _DEEPEST:
        raise invalid("nested-too-deep", "body", "This has too many things inside one another.")
    _as_said(request, body)


_AS_ELSE = re.compile(r"Expected `(int|float|bool)[^,]*, got `\w+`(?: - at `\$\.?(.*)`)?")


def _as_said(request: Request[Any, Any, Any], body: bytes) -> None:
    """Refuse a number, or a yes or no, sent as something else: the framework takes "10" for 10
    and 0 for no.
    """
    field = request.route_handler.parsed_data_field
    if field is None or not isinstance(field.annotation, type):
        return
    if not issubclass(field.annotation, msgspec.Struct):
        return
    try:
        msgspec.json.decode(body, type=field.annotation)
    except msgspec.ValidationError as error:
        found = _AS_ELSE.match(str(error))
        if found is not None:
            message = f"Expected `{found[1]}`"
            raise ValidationException(extra=[{"message": message, "key": found[2] or ""}]) from None
    except msgspec.DecodeError:
        # What is no JSON at all is told by the decoder itself.
        return


def _depth(body: bytes) -> int:
    depth = deepest = 0
    for found in _NESTING.finditer(body):
        if found[1]:
            depth += 1
            deepest = max(deepest, depth)
        elif found[2]:
            depth -= 1
    return deepest


def problem(refusal: Refusal) -> Response[Problem]:
    """Return a refusal as problem+json."""
    headers: dict[str, str] = {}
    if refusal.retry_after_seconds is not None:
        headers["Retry-After"] = str(refusal.retry_after_seconds)
    if refusal.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(
        Problem(
            type=f"urn:kith:rule:{refusal.rule}",
            title=refusal.title,
            status=refusal.status,
            detail=refusal.detail,
            rule=refusal.rule,
            who_can_change_it=refusal.who_can_change_it,
            what_else=list(refusal.what_else),
            errors=list(refusal.errors),
            correlation_id=str(trace.current()),
        ),
        status_code=refusal.status,
        media_type=PROBLEM_JSON,
        headers=headers,
    )


def on_refusal(_: Request[Any, Any, Any], refusal: Refusal) -> Response[Problem]:
    """Handle a Refusal raised anywhere below."""
    return problem(refusal)


def on_validation(request: Request[Any, Any, Any], error: ValidationException) -> Response[Problem]:
    """Handle a body, query or header that cannot be read: the field is named.

    ``app.state.always_open`` maps the start of an address to ways that stay open whatever was
    sent there: somebody in danger must not be left with a word about JSON.
    """
    found = error.extra if isinstance(error.extra, list) else []
    errors = [_field_error(item) for item in found if isinstance(item, dict)] or [
        FieldError("body", "This is not JSON that Kith can read.")
    ]
    refusal = _of_status(400)
    refusal.errors = tuple(errors)
    refusal.detail = f"{errors[0].field}: {errors[0].message}"
    for start, ways in request.app.state.get("always_open", {}).items():
        if request.url.path.startswith(start):
            refusal.what_else = (*refusal.what_else, *ways)
    return problem(refusal)


_QUOTED = re.compile(r" '.*'", re.DOTALL)
_NAMED = re.compile(r"field `([a-z_]{1,60})`")


_PLAIN: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"missing required field"), "This is needed and was left out."),
    (re.compile(r"contains unknown field"), "Kith does not know this field. /docs lists those."),
    (re.compile(r"Invalid enum value"), "It is none of the values it can have; /docs lists them."),
    (re.compile(r"matching regex"), "It has another form than is needed; /docs shows it."),
    (re.compile(r"`str` of length >= (\d+)"), "Write at least {0} letters."),
    (re.compile(r"`str` of length <= (\d+)"), "Write at most {0} letters."),
    (re.compile(r"`array` of length <= (\d+)"), "At most {0} of them."),
    (re.compile(r"`array` of length >= (\d+)"), "At least {0} of them."),
    (re.compile(r"`int` >= (-?\d+)"), "At least {0}."),
    (re.compile(r"`int` <= (-?\d+)"), "At most {0}."),
    (re.compile(r"Expected `array`"), "A list is needed here."),
    (re.compile(r"Expected `object`"), "An object is needed here: {{...}}."),
    (re.compile(r"Expected `str`"), "A text is needed here."),
    (re.compile(r"Expected `int`"), "A whole number is needed here."),
    (re.compile(r"Expected `bool`"), "true or false is needed here."),
    (re.compile(r"Expected `uuid`"), "An id is needed here."),
    (re.compile(r"^'?data'?$|^$"), "Send JSON: {{}} when there is nothing to say."),
)


def _field_error(item: dict[str, Any]) -> FieldError:
    """Return one thing that cannot be read, by the path of its field; never what the field held."""
    message = _QUOTED.sub("", str(item.get("message", "")))
    path = str(item.get("key", item.get("source", "body")))
    named = _NAMED.search(message)
    for pattern, plain in _PLAIN:
        found = pattern.search(message)
        if found is not None:
            message = plain.format(*found.groups())
            break
    if path == "data":
        return FieldError(named[1] if named else "body", message)
    return FieldError(f"{path}.{named[1]}" if named else path, message)


def on_http(request: Request[Any, Any, Any], error: HTTPException) -> Response[Problem]:
    """Handle what the framework itself refuses."""
    if error.status_code >= 500:
        return on_anything(request, error)
    answer = problem(_of_status(error.status_code))
    for name, value in (error.headers or {}).items():
        answer.headers[name] = value
    return answer


_STATUS_WORDS = {
    400: ("unreadable", "This cannot be read as it is. Nothing was changed."),
    401: ("sign-in-needed", "Kith does not know who is asking."),
    403: ("not-allowed", "This is not allowed."),
    404: ("no-such-address", "There is nothing at this address."),
    405: ("method-not-known", "This address does not take this method."),
    413: ("too-large", "This is too large. Nothing was changed."),
    415: ("media-type", "Send JSON, with Content-Type: application/json."),
}


def _of_status(status: int) -> Refusal:
    rule, detail = _STATUS_WORDS.get(status, ("refused", "This cannot be done as asked."))
    refusal = Refusal(
        rule=rule,
        detail=detail,
        who_can_change_it="You can, by changing what you send.",
        what_else=["See /docs for what each address takes."],
    )
    refusal.status = status
    return refusal


def on_anything(_: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    """Handle what nobody foresaw: logged with its place, told without details."""
    if isinstance(error, DBAPIError):
        known = as_refusal(error)
        if known is not None:
            return problem(known)
    log.error("request.failed", exc_info=error)
    refusal = busy("our-mistake")
    refusal.status = 500
    refusal.title = "Our mistake"
    refusal.detail = "Something went wrong on our side. Nothing was changed."
    refusal.retry_after_seconds = None
    return problem(refusal)


EXCEPTION_HANDLERS: dict[Any, Any] = {
    Refusal: on_refusal,
    ValidationException: on_validation,
    HTTPException: on_http,
    Exception: on_anything,
}


_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


def observe(app: ASGIApp) -> ASGIApp:
    """Wrap the application: one trace, one log line and one measurement for each request."""

    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        correlation = trace.begin(headers.get(b"x-correlation-id", b"").decode("latin-1") or None)
        started = time.perf_counter()
        status = 500

        async def tell(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *_own_headers(message["headers"], scope),
                    *_ALWAYS_SENT,
                    (b"x-correlation-id", str(correlation).encode()),
                ]
            await send(message)

        try:
            await app(scope, receive, tell)
        finally:
            seconds = time.perf_counter() - started
            route = scope.get("path_template") or "none"
            method = scope["method"] if scope["method"] in _METHODS else "other"
            metrics.REQUESTS.labels(method, route, status).inc()
            metrics.SECONDS.labels(method, route).observe(seconds)
            log.info(
                "request",
                method=method,
                route=route,
                status=status,
                ms=round(seconds * 1000, 2),
            )

    return middleware


_ALWAYS_SENT = ((b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer"))


def _own_headers(headers: Iterable[Header], scope: HTTPScope) -> list[Header]:
    """Return an answer's own headers, kept by nobody unless it says so itself.

    OPTIONS: the framework names the methods of one handler of several at an address.
    """
    own = list(headers)
    if not any(name.lower() == b"cache-control" for name, _ in own):
        own.append((b"cache-control", b"no-store"))
    if scope["method"] == "OPTIONS":
        here = scope.get("path_template")
        for route in scope["litestar_app"].routes:
            if isinstance(route, HTTPRoute) and route.path_format == here:
                methods = ", ".join(sorted(route.methods)).encode()
                return [(b"allow", methods), *(one for one in own if one[0].lower() != b"allow")]
    return own


__all__ = ["ANSWERS", "EXCEPTION_HANDLERS", "MediaType", "Problem", "Work", "allow", "observe"]
