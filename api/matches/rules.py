"""States of a suggestion, and who moves it."""

from typing import Literal

from api.core.errors import Conflict

State = Literal["suggested", "seen", "not_for_me", "introduction_asked", "withdrawn"]

SUGGESTIONS_A_PERSON = 5

# From each state, where a person may take it. A run may only suggest and withdraw.
STEPS: dict[State, tuple[State, ...]] = {
    "suggested": ("seen", "not_for_me", "introduction_asked"),
    "seen": ("not_for_me", "introduction_asked"),
    "introduction_asked": ("not_for_me",),
    "not_for_me": (),
    "withdrawn": (),
}


def check_step(old: State, new: State) -> bool:
    """Return True when the step is to be taken, False when it was taken before.

    Raises Conflict for a step that does not exist: a "not for me" stands, whoever asks.
    """
    if old == new or (new == "seen" and old in ("not_for_me", "introduction_asked")):
        return False
    if new not in STEPS[old]:
        raise Conflict(
            rule="suggestion-step",
            detail="This idea has been put away already.",
            who_can_change_it="You can, by saying what you want to do in other words.",
            what_else=["Look at your other ideas.", "Ask somebody: POST /v1/enquiries."],
        )
    return True
