"""Structured logs that cannot carry anybody's words.

An event is a fixed name with ids, numbers and short codes. Any other value is dropped and its
key named under ``dropped``. Exceptions are told by class, SQLSTATE and place in the code: their
messages may quote what a person wrote, so they are left out.
"""

import logging
import re
import sys
import traceback
from collections.abc import MutableMapping
from datetime import date, datetime
from typing import Any
from uuid import UUID

import structlog

from api.core import trace
from api.core.db import sqlstate

_CODE = re.compile(r"[\w.:/{}\-+<>]{0,160}")
_FRAMES = 12


def configure(*, level: int = logging.INFO) -> None:
    """Send all logs of this process, the standard library's too, to stderr as JSON lines."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _correlate,
            _tell_exception,
            _only_codes,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers[:] = [_Bridge()]
    root.setLevel(max(level, logging.WARNING))


class _Bridge(logging.Handler):
    """Passes on which library said something at which level and where, never what it said."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        structlog.get_logger().log(
            record.levelno,
            "library",
            logger=record.name,
            at=f"{record.module}:{record.lineno}",
            exc_info=error,
        )


Event = MutableMapping[str, Any]


def _correlate(_: Any, __: str, event: Event) -> Event:
    event["correlation_id"] = trace.current()
    return event


def _tell_exception(_: Any, __: str, event: Event) -> Event:
    error = event.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()[1]
    if isinstance(error, BaseException):
        event.update(describe(error))
    return event


def describe(error: BaseException) -> dict[str, Any]:
    """Return an exception as class names, SQLSTATE and frames, without any message."""
    chain: list[str] = []
    link: BaseException | None = error
    while link is not None and len(chain) < 6:
        chain.append(type(link).__name__)
        link = link.__cause__ or link.__context__
    found = traceback.extract_tb(error.__traceback__)
    frames = [frame for frame in found[:-2] if "site-packages" not in frame.filename] + found[-2:]
    return {
        "error": "<".join(chain),
        "sqlstate": sqlstate(error),
        "frames": [
            f"{_short(frame.filename)}:{frame.lineno}:{frame.name}" for frame in frames[-_FRAMES:]
        ],
    }


def _short(filename: str) -> str:
    return "/".join(filename.rsplit("/", 3)[1:])


def _only_codes(_: Any, __: str, event: Event) -> Event:
    dropped = [key for key, value in event.items() if not _is_code(value)]
    for key in dropped:
        del event[key]
    for key, value in event.items():
        if isinstance(value, UUID | date | datetime):
            event[key] = str(value)
    if dropped:
        event["dropped"] = dropped
    return event


def _is_code(value: Any) -> bool:
    if value is None or isinstance(value, bool | int | float | UUID | date | datetime):
        return True
    if isinstance(value, str):
        return _CODE.fullmatch(value) is not None
    if isinstance(value, list | tuple):
        return all(_is_code(item) for item in value)
    return False
