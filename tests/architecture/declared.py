"""What tables and routes must declare about themselves."""

from collections.abc import Container, Iterable, Iterator
from typing import Any

from sqlalchemy import MetaData, Table

# Litestar's own answers, which read nothing: OPTIONS for each path, and the API's description.
FRAMEWORKS_OWN = frozenset(
    {"litestar.routes.http", "litestar._openapi.plugin", "litestar.openapi.plugins"}
)


def table_violations(*, tables: Iterable[Table], rules: Container[str]) -> list[str]:
    """Every table says whether it is personal; each column of a personal one, how it is shared."""
    found = []
    for table in tables:
        personal = table.info.get("personal")
        if not isinstance(personal, bool):
            found.append(f"{table.name} does not say whether it is personal")
        if personal is not True:
            continue
        found += [
            f"{table.name}.{column.name} has no sharing rule"
            for column in table.columns
            if column.info.get("sharing") not in rules
        ]
    return sorted(found)


def personal_tables(metadata: MetaData) -> list[str]:
    """Return the names of the personal tables, sorted."""
    return sorted(table.name for table in metadata.tables.values() if table.info.get("personal"))


def route_violations(routes: Iterable[Any]) -> list[str]:
    """Every handler has a guard that declares its authorisation (``api.core.http.allow``)."""
    found = []
    for route in routes:
        for handler in _handlers(route):
            if handler.fn.__module__ in FRAMEWORKS_OWN:
                continue
            if not any(_declares(guard) for guard in _guards(handler)):
                methods = ",".join(sorted(getattr(handler, "http_methods", None) or ["ANY"]))
                found.append(f"{methods} {route.path} declares no authorisation")
    return sorted(found)


def _handlers(route: Any) -> Iterator[Any]:
    if hasattr(route, "route_handlers"):
        yield from route.route_handlers
    else:
        yield route.route_handler


def _guards(handler: Any) -> Iterator[Any]:
    for layer in handler.ownership_layers:
        yield from layer.guards or ()


def _declares(guard: Any) -> bool:
    words = getattr(guard, "declares", None)
    return isinstance(words, str) and bool(words.strip())
