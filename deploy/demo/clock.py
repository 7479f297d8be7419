"""The demo's clock, moved by hand: weeks pass in a moment, for all of its processes at once."""

import os
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from api.core.clock import LONGEST_AHEAD
from deploy.cli.world import World


def move_clock(world: World, by: timedelta) -> timedelta:
    """Move the clock of a demo forward by whole seconds; return how far ahead it is by now.

    Each process follows at its next reading. Raises ValueError for a way back, for more than ten
    years in all, and for a world that follows no file.
    """
    path = world.settings.clock_file
    if path is None:
        raise ValueError("only a demo may move its clock")
    ahead = _ahead(path) + timedelta(seconds=by // timedelta(seconds=1))
    if by < timedelta(0) or ahead > LONGEST_AHEAD:
        raise ValueError("the clock of a demo goes forward, by ten years at most")
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.write_text(f"{int(ahead.total_seconds())}\n")
    fresh.replace(path)
    return ahead


def _ahead(path: Path) -> timedelta:
    with suppress(FileNotFoundError):
        return timedelta(seconds=int(path.read_text()))
    return timedelta(0)
