"""Fills the demo the way people would: over HTTP, each as themselves.

Only what happens before anybody can sign in (areas, accounts) goes through the services directly.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import httpx2
import msgspec

from api.areas import service as areas
from api.areas.schemas import NewArea
from api.core.db import Database
from api.identity import service as identity
from api.identity.rules import Service
from api.identity.schemas import NewAccount, NewRole
from deploy.demo.content import Content

AREA = "bridgewater"
LISTERS = {"shared_lives": "maria"}
ANYBODY = "lucy"
Progress = Callable[[int], None]


class Seat:
    """One person at the API, signed in, and again whenever they were signed out meanwhile."""

    def __init__(self, client: httpx2.Client, who: str) -> None:
        self._client, self._who = client, who
        self._headers = self._sign_in()

    def get(self, path: str) -> Any:
        """Return the JSON of an address."""
        return _ok(self._send("GET", path))

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Post a body and return the JSON that comes back, None for an empty answer."""
        return _ok(self._send("POST", path, body))

    def put(self, path: str, body: dict[str, Any]) -> Any:
        """Put a body and return the JSON that comes back."""
        return _ok(self._send("PUT", path, body))

    def refused(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Post what the rules do not allow and return how the API says so."""
        answer = self._send("POST", path, body)
        if answer.status_code < 400:
            raise RuntimeError(f"the demo was not refused: {path}")
        problem: dict[str, Any] = answer.json()
        return problem

    def _send(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx2.Response:
        answer = self._client.request(method, path, json=body, headers=self._headers)
        if answer.status_code == 401:  # the clock has moved, and a sign-in lasts days
            self._headers = self._sign_in()
            answer = self._client.request(method, path, json=body, headers=self._headers)
        return answer

    def _sign_in(self) -> dict[str, str]:
        answer = self._client.post("/v1/sessions", json={"by": "demo", "who": self._who})
        return {"Authorization": f"Bearer {_ok(answer)['token']}"}


class Seats:
    """Everybody who has signed in so far, once each."""

    def __init__(self, client: httpx2.Client) -> None:
        self._client = client
        self._taken: dict[str, Seat] = {}

    def __getitem__(self, who: str) -> Seat:
        if who not in self._taken:
            self._taken[who] = Seat(self._client, who)
        return self._taken[who]


async def found_areas(database: Database, content: Content, *, now: datetime) -> int:
    """Make areas and accounts; return how many accounts there are."""
    actor = Service("demo")
    accounts = 0
    async with database.write(actor=actor, now=now) as tx:
        for area in content.areas:
            await areas.create_area(tx, actor=actor, now=now, new=msgspec.convert(area, NewArea))
        citizen = NewRole(area=AREA, role="citizen")
        for one in [*content.staff, *content.people]:
            roles = [msgspec.convert(role, NewRole) for role in one.get("roles", [])]
            await identity.create_account(
                tx,
                actor=actor,
                now=now,
                new=NewAccount(called=one["called"], roles=roles or [citizen]),
                demo_key=one["key"],
            )
            accounts += 1
    return accounts


def start_stories(seats: Seats, content: Content, *, progress: Progress) -> dict[str, UUID]:
    """Let each person answer the two questions; return their stories by key."""
    stories: dict[str, UUID] = {}
    for number, one in enumerate(content.people, start=1):
        seat = seats[one["key"]]
        story = seat.post("/v1/people", _story(one))
        stories[one["key"]] = UUID(story["id"])
        if one["own_offer"] is not None:
            offer = dict(one["own_offer"])
            seat.post(f"/v1/people/{story['id']}/offers", offer)
        progress(number)
    return stories


def list_things(seats: Seats, content: Content, *, now: datetime, progress: Progress) -> int:
    """List the things to join, each by whoever runs it; return how many."""
    keys = {one["key"]: one for one in content.staff}
    for number, thing in enumerate(content.listings, start=1):
        who = LISTERS.get(thing["kind"]) or (
            thing["provider"] if thing["provider"] in keys else ANYBODY
        )
        seat = seats[who]
        made = seat.post("/v1/listings", _listing(thing, keys))
        on = (now - timedelta(days=thing["confirmed_days_ago"])).date()
        if thing["confirmed_days_ago"]:
            seat.post(f"/v1/listings/{made['id']}/confirm", {"confirmed_on": on.isoformat()})
        progress(number)
    return len(content.listings)


def bring_together(seats: Seats, content: Content, stories: dict[str, UUID]) -> int:
    """Let workers work with people, and each person agree that they may read the story."""
    manager = seats[next(one["key"] for one in content.staff if _is(one, "manager"))]
    made = 0
    for one in content.staff:
        if not one["works_with"]:
            continue
        worker = seats[one["key"]].get("/v1/me")["id"]
        for key in one["works_with"]:
            assignment = manager.post(
                "/v1/assignments",
                {"worker_account_id": worker, "person_id": str(stories[key]), "area": AREA},
            )
            seats[key].post(f"/v1/assignments/{assignment['id']}/agree")
            made += 1
    return made


def _is(one: dict[str, Any], role: str) -> bool:
    return any(held["role"] == role for held in one["roles"])


def _story(one: dict[str, Any]) -> dict[str, Any]:
    also = [{"kind": "interest", "words": words} for words in one["interests"]]
    also += [{"kind": "avoidance", **said} for said in one["avoid"]]
    also += [{"kind": "access_need", **said} for said in one["needs"]]
    return {
        "area": AREA,
        "called": one["called"],
        "near": one["near"],
        "good_at": one["good_at"],
        "want_to": one["want_to"],
        "not_asked_yet": one["not_asked_yet"],
        "also": also,
        "free_times": one["free_times"],
        "homes_wanted": one.get("homes_wanted", False),
        "travel_limit_metres": one["travel_limit_metres"],
        "spend_limit_pence": one["spend_limit_pence"],
    }


def _listing(thing: dict[str, Any], staff: dict[str, dict[str, Any]]) -> dict[str, Any]:
    provider = thing["provider"]
    told = staff[provider]["called"] if provider in staff else provider
    return {
        "area": AREA,
        "provider_name": told,
        **{
            field: thing[field]
            for field in (
                "kind",
                "name",
                "summary",
                "description",
                "near",
                "postcode",
                "address",
                "sessions",
                "price_pence",
                "price_per",
                "places_total",
                "places_left",
                "access",
            )
        },
    }


def _ok(answer: httpx2.Response) -> Any:
    if answer.status_code >= 400:
        problem = answer.json()
        raise RuntimeError(f"the demo was refused: {problem.get('rule')} {problem.get('errors')}")
    return answer.json() if answer.content else None
