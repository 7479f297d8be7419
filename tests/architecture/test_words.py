"""People read plain words: no word of the trade in a refusal, a reason or the demo's story."""

import ast
import re
from collections.abc import Iterator

import pytest

from api.areas.rules import FACT_WORDS
from api.budgets.rules import AUTHORITY_WORDS, KIND_WORDS
from api.matches import messages
from api.pools.rules import CHOICES, SHOWN
from api.pools.schemas import WORRIED
from tests.architecture.house import ROOT

# The words that people never see, from the project's vocabulary.
NEVER_SHOWN = re.compile(
    r"\b(co-commission|micro-enterprise|pool|pledge|milestone|listing|grant|receipt|quorum"
    r"|trial balance|patient|client)s?\b",
    re.IGNORECASE,
)
REFUSALS = {
    "Refusal",
    "NotSignedIn",
    "NotAllowed",
    "NotFound",
    "Conflict",
    "Gone",
    "Invalid",
    "TooMany",
    "Unavailable",
    "invalid",
    "not_found",
    "busy",
}
ADDRESS = re.compile(r"(GET|POST|PUT|PATCH|DELETE) /\S+")


def _strings(node: ast.expr) -> Iterator[str]:
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value


def told_by_refusals(source: str) -> Iterator[str]:
    """Yield every sentence that a refusal in this source would show; codes of rules are not."""
    for node in ast.walk(ast.parse(source)):
        name = getattr(getattr(node, "func", None), "id", None)
        if not isinstance(node, ast.Call) or name not in REFUSALS:
            continue
        codes = {"rule", "field", "leaves", "retry_after_seconds", "errors"}
        positional = node.args[2:] if name == "invalid" else node.args
        for argument in positional:
            yield from _strings(argument)
        for keyword in node.keywords:
            if keyword.arg not in codes:
                yield from _strings(keyword.value)


def test_no_refusal_shows_a_word_of_the_trade() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {said}"
        for path in sorted((ROOT / "api").rglob("*.py"))
        for said in told_by_refusals(path.read_text(encoding="utf-8"))
        if NEVER_SHOWN.search(ADDRESS.sub("", said))
    ]
    assert not found, "\n".join(found)


def test_no_reason_shows_a_word_of_the_trade() -> None:
    said = [*messages.PLAIN.values(), *messages.UNMET.values()]
    said += [word for three in FACT_WORDS.values() for word in three]
    assert not [one for one in said if NEVER_SHOWN.search(one)]


def said_in(source: str, function: str) -> Iterator[str]:
    """Yield every string in the body of a function of this source, but not its docstring."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and node.name == function:
            body = node.body[1:] if ast.get_docstring(node) else node.body
            for statement in body:
                for part in ast.walk(statement):
                    if isinstance(part, ast.Constant) and isinstance(part.value, str):
                        yield part.value


def test_nothing_that_a_group_reads_of_its_money_shows_a_word_of_the_trade() -> None:
    said = [words for choices in CHOICES.values() for words in choices.values()]
    said += [*SHOWN.values(), *KIND_WORDS.values(), *AUTHORITY_WORDS.values()]
    said += [ADDRESS.sub("", way) for way in WORRIED]
    money = (ROOT / "api/pools/money.py").read_text(encoding="utf-8")
    own_page = [one for name in ("_in_words", "_pounds") for one in said_in(money, name)]
    assert any("If you left today" in one for one in own_page)
    assert not [one for one in said + own_page if NEVER_SHOWN.search(one)]


@pytest.mark.parametrize(
    "planted",
    [
        'raise invalid("a-rule", "field", "Your pledge is too small.")',
        'raise not_found("listing")',
        'raise Conflict(rule="x", detail="fine", who_can_change_it="The client.")',
    ],
)
def test_a_planted_word_of_the_trade_is_caught(planted: str) -> None:
    assert any(NEVER_SHOWN.search(said) for said in told_by_refusals(planted))
