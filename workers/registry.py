"""Tasks by name: what a task must look like, and how a payload becomes its arguments."""

import inspect
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_args, get_type_hints
from uuid import UUID

from api.identity.rules import Task as TaskActor

Body = Callable[..., Awaitable[None]]

_NAME = re.compile(r"[a-z_]+\.[a-z_]+")


@dataclass(frozen=True, slots=True)
class Registered:
    """A task by its name: the coroutine function, whose actor it needs, which arguments are ids."""

    name: str
    body: Body
    subject: str | None
    ids: frozenset[str]


REGISTRY: dict[str, Registered] = {}


def task(name: str, *, subject: str | None = None) -> Callable[[Body], Body]:
    """Register ``async def body(job, *, <payload keys>, **later)`` as the task ``slice.name``.

    ``subject`` names the argument that holds the person on whose behalf the task acts (the
    policies' ``app.subject_id``). Arguments annotated as UUID arrive as UUID. Keys that this
    version of the code does not know land in ``later``. Raises TypeError or ValueError at import.
    """

    def register(body: Body) -> Body:
        if not _NAME.fullmatch(name) or name in REGISTRY:
            raise ValueError(f"{name} is not a free name of the form slice.task")
        REGISTRY[name] = Registered(name, body, subject, _id_arguments(body))
        return body

    return register


def arguments(registered: Registered, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return the payload as the keywords of the task: ids as UUID."""
    return {
        key: UUID(value) if key in registered.ids and value is not None else value
        for key, value in payload.items()
    }


def actor(registered: Registered, outbox_id: UUID, payload: Mapping[str, Any]) -> TaskActor:
    """Return who acts in a run: the task, for the person that its payload names."""
    subject = payload.get(registered.subject) if registered.subject is not None else None
    return TaskActor(registered.name, outbox_id, UUID(subject) if subject is not None else None)


def _id_arguments(body: Body) -> frozenset[str]:
    if not inspect.iscoroutinefunction(body):
        raise TypeError("a task is an async def")
    _, *rest = inspect.signature(body).parameters.values()
    kinds = {parameter.kind for parameter in rest}
    if not kinds <= {inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD}:
        raise TypeError("after the job, a task takes keywords only")
    if inspect.Parameter.VAR_KEYWORD not in kinds:
        raise TypeError("a task tolerates keys of a later version: it takes **later")
    hints = get_type_hints(body)
    return frozenset(
        parameter.name
        for parameter in rest
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
        and UUID in (hints.get(parameter.name), *get_args(hints.get(parameter.name)))
    )
