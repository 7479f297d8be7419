"""The laws of the map that a look at one source file can check.

A rule reads one file and yields what breaks it. A line that must break a rule says so beside
itself, with the rule's name and a reason, in a comment of this form:

    # rule: <name> because <reason>

on the line itself or on the line above. An escape that excuses nothing is reported as well.
"""

import ast
import io
import re
import tokenize
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

PACKAGES = ("api", "matching", "workers", "deploy")
LONGEST_FUNCTION_LINES = 70
SLICE_PARTS = ("__init__", "rules", "models", "schemas", "queries", "service", "routes")
# What a higher slice may see of a lower one. Queries are a slice's own; routes are api.app's.
SHARED_PARTS = frozenset({"service", "schemas", "rules", "models"})
# Rules in files of their own, which .importlinter keeps at the rank of rules.
RULES_BY_NAME = frozenset({("areas", "clocks"), ("areas", "places")})
NOT_SLICES = frozenset({"core", "app"})

WALL_CLOCKS = frozenset(
    {
        *(f"datetime.datetime.{name}" for name in ("now", "utcnow", "today")),
        "datetime.date.today",
        *(f"time.{name}" for name in ("time", "time_ns", "localtime", "gmtime", "ctime")),
        *(f"sqlalchemy.func.{name}" for name in ("now", "current_timestamp", "clock_timestamp")),
    }
)
STOPWATCHES = frozenset(
    f"time.{name}{unit}"
    for name in ("monotonic", "perf_counter", "process_time")
    for unit in ("", "_ns")
)

LOG_LEVELS = frozenset({"debug", "info", "warning", "error", "exception", "critical"})
LOGGER_NAME = re.compile(r"(?:^|_)(?:log|logger)$", re.IGNORECASE)
LOGGER_MAKERS = frozenset({"structlog.get_logger", "structlog.stdlib.get_logger"})
# Keywords under which people's own words or their whereabouts would travel.
WORDY_KEYWORDS = frozenset(
    {
        "address",
        "body",
        "content",
        "description",
        "display_name",
        "email",
        "message",
        "name",
        "note",
        "payload",
        "phone",
        "postcode",
        "q",
        "query",
        "quote",
        "statement",
        "story",
        "text",
        "title",
        "what_they_said",
        "why",
        "words",
    }
)

ESCAPE = re.compile(r"#\s*rule:\s*(?P<name>[\w-]+)(?:\s+because\s+(?P<reason>\S.*))?")

Finding = tuple[int, str]


@dataclass(slots=True)
class Source:
    """One Python file: its path from the project's root (with /), its text and its tree."""

    path: str
    text: str
    tree: ast.Module = field(init=False)
    names: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.tree = ast.parse(self.text, filename=self.path)
        self.names = _imported_names(self.tree)

    def dotted(self, node: ast.AST) -> str | None:
        """Return the full dotted name of ``a.b.c``, its first part looked up in the imports."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return None
        parts.append(self.names.get(node.id, node.id))
        return ".".join(reversed(parts))


@dataclass(frozen=True, slots=True)
class Rule:
    """A law with a name: the paths it covers, and what in a file breaks it."""

    name: str
    covers: Callable[[str], bool]
    find: Callable[[Source], Iterator[Finding]]


def violations(source: Source) -> list[str]:
    """Return what in this file breaks a rule without saying why, as ``path:line rule: what``."""
    escapes = _escapes(source)
    found: list[tuple[int, str, str]] = []
    used: set[int] = set()
    for rule in RULES:
        if not rule.covers(source.path):
            continue
        for line, what in rule.find(source):
            excuse = next((at for at in (line, line - 1) if escapes.get(at) == rule.name), None)
            if excuse is None:
                found.append((line, rule.name, what))
            else:
                used.add(excuse)
    for line, name in escapes.items():
        if line not in used:
            what = f"the escape {name!r} excuses nothing here, or gives no reason"
            found.append((line, "escape", what))
    return [f"{source.path}:{line} {name}: {what}" for line, name, what in sorted(found)]


def find_commits(source: Source) -> Iterator[Finding]:
    """One place opens and commits a transaction; savepoints are anybody's."""
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else None
        if called == "commit" or (called == "begin" and not node.args):
            yield node.lineno, f"{called}() is for api/core/db.py and workers/runtime.py alone"
        first = node.args[0] if node.args else None
        if isinstance(first, ast.Constant) and str(first.value).strip(" ;").lower() == "commit":
            yield node.lineno, "a COMMIT in SQL is for api/core/db.py and workers/runtime.py alone"


def find_clocks(source: Source) -> Iterator[Finding]:
    """``now`` is an argument. How long something took may be measured, but not by the domain."""
    timed = source.path.startswith(("workers/", "deploy/", "api/core/"))
    forbidden = WALL_CLOCKS if timed else WALL_CLOCKS | STOPWATCHES
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Load):
            name = source.dotted(node)
            if name in forbidden:
                yield node.lineno, f"{name} is read outside api/core/clock.py: take now"


def find_long_functions(source: Source) -> Iterator[Finding]:
    """A function of more than 70 lines does two things."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > LONGEST_FUNCTION_LINES:
                yield node.lineno, f"{node.name} has {lines} lines, more than 70"


def find_lazy_relationships(source: Source) -> Iterator[Finding]:
    """A hidden query is an error, so every relationship raises when it would load by itself."""
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.Call):
            continue
        if (source.dotted(node.func) or "").rpartition(".")[2] != "relationship":
            continue
        lazy = next((word.value for word in node.keywords if word.arg == "lazy"), None)
        if not (isinstance(lazy, ast.Constant) and lazy.value == "raise"):
            yield node.lineno, 'relationship() without lazy="raise"'


def find_words_in_logs(source: Source) -> Iterator[Finding]:
    """A log line is an event's name and ids: never a sentence with somebody's words in it."""
    loggers = _loggers(source)
    caught = {
        node.name for node in ast.walk(source.tree) if isinstance(node, ast.ExceptHandler)
    } - {None}
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and _is_log_call(node, loggers):
            for what in _log_faults(node, caught):
                yield node.lineno, what


def find_side_doors(source: Source) -> Iterator[Finding]:
    """Of another slice one sees its service, schemas, rules and models; of the ledger no models."""
    own = source.path.split("/")[1].removesuffix(".py")
    for line, module in _imported_modules(source):
        parts = module.split(".")
        if parts[0] != "api" or len(parts) < 3 or parts[1] in NOT_SLICES | {own}:
            continue
        if (parts[1], parts[2]) in RULES_BY_NAME:
            continue
        if parts[1:3] == ["ledger", "models"]:
            yield line, "the ledger's models are nobody's but its own"
        elif parts[2] not in SHARED_PARTS | {"routes"}:  # routes: a contract of .importlinter
            yield line, f"{module} is {parts[1]}'s own: use its service, schemas, rules or models"


def _in_packages(path: str) -> bool:
    return path.split("/")[0] in PACKAGES


def _within(*allowed: str) -> Callable[[str], bool]:
    return lambda path: _in_packages(path) and path not in allowed


RULES = (
    Rule("commit", _within("api/core/db.py", "workers/runtime.py"), find_commits),
    Rule("clock", _within("api/core/clock.py"), find_clocks),
    Rule("length", lambda path: True, find_long_functions),
    Rule("lazy", _in_packages, find_lazy_relationships),
    Rule("log", _in_packages, find_words_in_logs),
    Rule(
        "side-door",
        lambda path: path.startswith("api/") and path not in ("api/app.py", "api/__init__.py"),
        find_side_doors,
    ),
)


def _escapes(source: Source) -> dict[int, str]:
    """Return line -> rule name; the name is empty where no reason is given."""
    if "rule:" not in source.text:
        return {}
    found: dict[int, str] = {}
    for token in tokenize.generate_tokens(io.StringIO(source.text).readline):
        escape = ESCAPE.match(token.string) if token.type == tokenize.COMMENT else None
        if escape:
            found[token.start[0]] = escape["name"] if escape["reason"] else ""
    return found


def _imported_names(tree: ast.Module) -> dict[str, str]:
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.asname:
                    names[alias.asname] = alias.name
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names


def _imported_modules(source: Source) -> Iterator[Finding]:
    """Yield (line, absolute dotted name) of what is imported, at least three parts deep."""
    package = source.path.removesuffix(".py").split("/")[:-1]
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) + 1 - node.level] if node.level else []
            module = ".".join([*start, *([node.module] if node.module else [])])
            for alias in node.names:
                yield node.lineno, f"{module}.{alias.name}"


def _loggers(source: Source) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            maker = source.dotted(node.value.func)
            if maker in LOGGER_MAKERS or maker == "logging.getLogger":
                found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return found


def _is_log_call(node: ast.Call, loggers: set[str]) -> bool:
    if not (isinstance(node.func, ast.Attribute) and node.func.attr in LOG_LEVELS):
        return False
    receiver: ast.expr = node.func.value
    while isinstance(receiver, ast.Call):  # log.bind(...).info, structlog.get_logger().info
        receiver = receiver.func
        if isinstance(receiver, ast.Attribute) and receiver.attr == "get_logger":
            return True
        if isinstance(receiver, ast.Attribute):
            receiver = receiver.value
    last = receiver.attr if isinstance(receiver, ast.Attribute) else getattr(receiver, "id", "")
    return last in loggers or last == "logging" or LOGGER_NAME.search(last) is not None


def _log_faults(node: ast.Call, caught: set[str | None]) -> Iterator[str]:
    event, rest = (node.args[0], node.args[1:]) if node.args else (None, [])
    if not (isinstance(event, ast.Constant) and isinstance(event.value, str)) or rest:
        yield "a log call takes one literal event name, then keywords"
    for word in node.keywords:
        if word.arg == "exc_info":
            continue  # told by class and place in the code alone: api.core.logs
        if word.arg is None:
            yield "a log call spells out its keywords: no **"
        elif word.arg in WORDY_KEYWORDS:
            yield f"the keyword {word.arg} may carry a person's words: log an id"
        elif _is_sentence(word.value) or _tells_exception(word.value, caught):
            yield f"the keyword {word.arg} is put together from words: log an id"


def _is_sentence(value: ast.expr) -> bool:
    if isinstance(value, ast.JoinedStr):
        return True
    if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Mod | ast.Add):
        sides = (value.left, value.right)
        return any(isinstance(side, ast.Constant) and isinstance(side.value, str) for side in sides)
    return (
        isinstance(value, ast.Call)
        and isinstance(value.func, ast.Attribute)
        and value.func.attr == "format"
    )


def _tells_exception(value: ast.expr, caught: set[str | None]) -> bool:
    """An exception's message may quote a row, and the row a person."""
    if isinstance(value, ast.Call) and getattr(value.func, "id", "") in ("str", "repr"):
        value = value.args[0] if value.args else value
    return isinstance(value, ast.Name) and value.id in caught
