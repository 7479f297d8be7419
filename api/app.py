"""The application: plugins, routers, handlers. The only place that knows every route."""

import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import structlog
from litestar import Litestar, Request, Response, get
from litestar.config.app import AppConfig
from litestar.di import NamedDependency, Provide
from litestar.exceptions import NotFoundException
from litestar.middleware import DefineMiddleware
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme, Server
from redis.asyncio import Redis
from sqlalchemy import text

from api.areas.routes import router as areas
from api.budgets.routes import router as budgets
from api.core import clock, metrics
from api.core.config import Settings
from api.core.db import Database
from api.core.http import (
    ANSWERS,
    EXCEPTION_HANDLERS,
    Authentication,
    allow,
    observe,
    provide_keyed,
    provide_work,
    readable,
)
from api.core.ratelimit import RateLimiter
from api.core.redis import redis_for
from api.decisions.routes import router as decisions
from api.enquiries.routes import router as enquiries
from api.identity import service as identity
from api.identity.routes import router as signing_in
from api.listings.routes import router as listings
from api.matches.routes import router as matches
from api.people.routes import router as people
from api.people.rules import ALWAYS_OPEN
from api.pools.routes import router as pools
from api.web import reference

log = structlog.get_logger()


@get("/health/live", guards=[allow("anyone")], tags=["health"], responses=ANSWERS)
async def live() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@get("/health/ready", guards=[allow("anyone")], tags=["health"], responses=ANSWERS)
async def ready(
    database: NamedDependency[Database], redis: NamedDependency[Redis]
) -> Response[dict[str, str]]:
    """The database answers. Without the broker browsing goes on, so that is only told."""
    parts = {"database": "ok", "broker": "ok"}
    try:
        async with database.public() as connection:
            await connection.execute(text("SELECT version_num FROM alembic_version"))
    except Exception as error:  # whatever it is, this process cannot serve now
        log.warning("ready.database", exc_info=error)
        parts["database"] = "down"
    try:
        await redis.ping()
    except Exception as error:
        log.warning("ready.broker", exc_info=error)
        parts["broker"] = "down: matching is late, everything else works"
    return Response(parts, status_code=200 if parts["database"] == "ok" else 503)


@get("/metrics", guards=[allow("anyone")], include_in_schema=False)
async def prometheus(
    request: Request[Any, Any, Any],
    database: NamedDependency[Database],
    configuration: NamedDependency[Settings],
) -> Response[bytes]:
    """Metrics, for the machine itself or with the metrics token; not there for anybody else."""
    here = request.client is None or request.client.host in ("127.0.0.1", "::1")
    # Passed on by a proxy on this machine, it is from somewhere else.
    passed_on = "x-forwarded-for" in request.headers or "forwarded" in request.headers
    wanted = configuration.metrics_token
    if wanted is None and (passed_on or not here):
        raise NotFoundException
    sent = request.headers.get("x-metrics-token", "")
    if wanted is not None and not hmac.compare_digest(sent.encode(), wanted.encode()):
        raise NotFoundException
    async with database.public() as connection:
        body = await metrics.render(connection, now=clock.now())
    return Response(body, media_type="text/plain; version=0.0.4")


def create_app(settings: Settings) -> Litestar:
    """Return the application. Nothing is connected before it starts."""
    database = Database(
        settings.database_url,
        application_name="kith-api",
        pool_size=settings.pool_size,
        pool_wait_seconds=settings.pool_wait_seconds,
        statement_timeout_ms=settings.statement_timeout_ms,
        lock_timeout_ms=settings.lock_timeout_ms,
        idle_in_transaction_ms=settings.idle_in_transaction_ms,
    )
    redis = redis_for(settings.broker_url)
    limiter = RateLimiter(redis)

    @asynccontextmanager
    async def running(app: Litestar) -> AsyncIterator[None]:
        async def resolve(token: str | None) -> Any:
            return await identity.resolve(database, token, now=clock.now())

        app.state.resolve_actor = resolve
        app.state.always_open = dict.fromkeys(
            ("/v1/people", "/v1/enquiries", "/v1/safety-stops"), ALWAYS_OPEN
        )
        yield
        await database.close()
        await limiter.close()

    app = Litestar(
        route_handlers=[
            live,
            ready,
            prometheus,
            areas,
            signing_in,
            people,
            decisions,
            enquiries,
            listings,
            matches,
            budgets,
            pools,
        ],
        lifespan=[running],
        dependencies={
            "database": Provide(lambda: database, sync_to_thread=False),
            # Not "settings": what is wrong with a body's field of a dependency's name is taken by
            # Litestar for a mistake of ours.
            "configuration": Provide(lambda: settings, sync_to_thread=False),
            "redis": Provide(lambda: redis, sync_to_thread=False),
            "limiter": Provide(lambda: limiter, sync_to_thread=False),
            "work": Provide(provide_work),
            "keyed": Provide(provide_keyed),
        },
        middleware=[DefineMiddleware(Authentication)],
        before_request=readable,
        exception_handlers=EXCEPTION_HANDLERS,
        request_max_body_size=settings.body_limit_bytes,
        openapi_config=_openapi(),
        on_app_init=[_plain_logging],
    )
    # Around everything: an unknown address and a token that is refused are observed too.
    app.asgi_handler = observe(app.asgi_handler)
    reference.close_schemas(app.openapi_schema)
    return app


def _plain_logging(config: AppConfig) -> AppConfig:
    """Keep the framework from logging by itself: it would log bodies and messages."""
    config.logging_config = None
    return config


def _openapi() -> OpenAPIConfig:
    return OpenAPIConfig(
        title="Kith",
        version="1",
        description="A marketplace for social care built on people's strengths.",
        path="/docs",
        render_plugins=[JsonRenderPlugin(path="/openapi.json"), reference.ReferencePage(path="/")],
        servers=[Server(url="/")],
        components=Components(
            security_schemes={
                "token": SecurityScheme(type="http", scheme="bearer", description="A session token")
            }
        ),
        security=[{}, {"token": []}],
        use_handler_docstrings=True,
    )
