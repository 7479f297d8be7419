"""What makes a start strengths-first, and what is never refused."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

from api.areas.rules import NOT_ASKED_YET_DAYS
from api.core.errors import Invalid, invalid

Kind = Literal["strength", "goal", "interest", "avoidance", "access_need"]
STRENGTHS_FIRST: tuple[Kind, ...] = ("strength", "goal", "interest")
REQUIREMENTS: tuple[Kind, ...] = ("avoidance", "access_need")

MOST_STATEMENTS = 60

# law.md 2: shown on every screen that takes free text.
ALWAYS_OPEN = (
    "Ask for an assessment of your needs: POST /v1/enquiries with kind 'assessment'.",
    "Ask for a carer's assessment: POST /v1/enquiries with kind 'carers_assessment'.",
    "In danger now? Ring 999. Unwell and not sure? Ring 111.",
)


def first_questions_missing(field: str = "good_at") -> Invalid:
    """Return the refusal of a story with no strength, interest or goal (S4)."""
    return invalid(
        "strengths-first",
        field,
        "Tell us one thing you are good at, or one thing you want to do. Anything counts: "
        "making tea, football, a quiet day. Or say that you have not been asked yet.",
        what_else=["Send not_asked_yet: true, and answer within 7 days.", *ALWAYS_OPEN],
    )


def story_full() -> Invalid:
    """Return the refusal of one statement more than a story holds."""
    return invalid(
        "story-length",
        "words",
        f"A story holds {MOST_STATEMENTS} things.",
        what_else=["Take something back first, or say one of them anew.", *ALWAYS_OPEN],
    )


def not_asked_until(now: datetime) -> datetime:
    """Return until when "not asked yet" stands: 7 days (Care Act ss.9-11, law.md 2)."""
    return now + timedelta(days=NOT_ASKED_YET_DAYS)


def requirement_facts(kind: Kind, facts: Sequence[tuple[str, str]]) -> None:
    """Raise Invalid when facts do not go with the kind of statement, or one stands twice.

    Only what a person avoids or needs carries facts; strengths and wishes are words alone.
    """
    if facts and kind not in REQUIREMENTS:
        raise invalid(
            "facts-of-needs",
            "facts",
            "Facts go with something you avoid or something you need, not with a strength or wish.",
        )
    codes = [code for code, _ in facts]
    if len(codes) != len(set(codes)):
        raise invalid("fact-once", "facts", "Each fact can be said once in a statement.")
