"""Audit entries and receipts only grow, carry no words, and miss no write."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from litestar import Litestar

from api.core.config import Settings
from tests.groups import MONEY
from tests.make import Maker, good, key, refused
from tests.properties.crowd import WORDS, Crowd, gather

pytestmark = pytest.mark.anyio

ONLY_GROW = [
    "audit_entries",
    "read_receipts",
    "refusals",
    "area_changes",
    "enquiry_messages",
    "enquiry_events",
    "suggestion_events",
    "sign_off_wishes",
    "sign_off_decisions",
    "safety_stop_answers",
    "decision_events",
    "enquiry_lead_notes",
]
ATTACKS = {
    "UPDATE": "UPDATE {table} SET at = now()",
    "DELETE": "DELETE FROM {table}",
    "TRUNCATE": "TRUNCATE {table} CASCADE",
}


@pytest.fixture(params=["the API", "a worker", "the owner"])
def somebody(request: pytest.FixtureRequest, settings: Settings) -> Iterator[psycopg.Connection]:
    """Connect as one of those who have a sign-in."""
    urls = {
        "the API": settings.database_url,
        "a worker": settings.worker_url,
        "the owner": settings.migrate_url or "",
    }
    with psycopg.connect(urls[request.param], autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="module")
async def crowd(maker: Maker) -> Crowd:
    """Gather somebody about whom there is a row in every table; one refusal is counted too."""
    found = await gather(maker, maker.client, maker.database)
    empty = {"area": found.story.area.slug, "called": "Nobody"}
    refused(await maker.client.post("/v1/people", json=empty), 422, "strengths-first")
    return found


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("table", ONLY_GROW)
async def test_records_refuse_to_be_changed_even_by_their_owner(
    crowd: Crowd, somebody: psycopg.Connection, table: str, attack: str
) -> None:
    with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.RestrictViolation)):
        somebody.execute(ATTACKS[attack].format(table=table))


async def test_records_carry_codes_and_ids_and_no_words(
    crowd: Crowd, owner_connection: psycopg.Connection
) -> None:
    for table in ("audit_entries", "read_receipts", "refusals", "outbox"):
        rows = owner_connection.execute(f"SELECT row_to_json(t)::text FROM {table} t").fetchall()
        assert rows
        for (row,) in rows:
            assert WORDS not in row
            assert crowd.story.area.slug not in row
            assert len(row) < 700


async def test_whoever_reads_a_story_is_on_record_with_the_version_they_saw(
    crowd: Crowd, maker: Maker, owner_connection: psycopg.Connection
) -> None:
    path = f"/v1/people/{crowd.story.id}"
    answer = await maker.client.get(path, headers=crowd.account.headers)
    version = good(answer)["version"]
    rows = owner_connection.execute(
        "SELECT actor_kind, actor_id, what, version, outcome FROM read_receipts"
        " WHERE correlation_id = %s",
        [answer.headers["x-correlation-id"]],
    ).fetchall()
    assert rows == [("person", crowd.account.id, "story", version, "read")]


async def test_a_refused_read_is_on_record_though_everything_else_is_rolled_back(
    crowd: Crowd, maker: Maker, owner_connection: psycopg.Connection
) -> None:
    stranger = await maker.account()
    for path in (
        f"/v1/people/{crowd.story.id}",
        f"/v1/people/{crowd.story.id}/suggestions",
        f"/v1/people/{crowd.story.id}/unmet-wants",
        f"/v1/people/{crowd.story.id}/offers",
        f"/v1/enquiries/{crowd.concern.id}",
        f"/v1/sign-offs/{crowd.ids['sign_off_id']}",
    ):
        answer = await maker.client.get(path, headers=stranger.headers)
        trace = refused(answer, 404)["correlation_id"]
        rows = owner_connection.execute(
            "SELECT actor_id, outcome FROM read_receipts WHERE correlation_id = %s", [trace]
        ).fetchall()
        assert rows == [(stranger.id, "refused")], path


def _writes(crowd: Crowd, ids: dict[str, Any]) -> list[tuple[str, str, str, Any]]:
    """Return one success of every route that writes: method, template, path, body."""
    area, one = crowd.story.area.slug, {"kind": "goal", "words": "swim"}
    person = f"/v1/people/{crowd.story.id}"
    statement = f"{person}/statements/{ids['statement']}"
    listing = {
        "area": area,
        "kind": "community",
        "name": "Choir",
        "summary": "Singing",
        "near": "M32",
    }
    role = {"area": area, "role": "citizen"}
    assigned = {"worker_account_id": ids["worker"], "person_id": ids["other"], "area": area}
    p = "/v1/people/{person_id}"
    begun = {"area": area, "called": "Sam", "good_at": ["x"]}
    settings = {"version": 1, "reason": "because", "settings": {"front_door_name": "Here"}}
    new_code = f"{person}/come-back-codes"
    return [
        ("POST", "/v1/people", "/v1/people", begun),
        ("PATCH", p, person, {"called": "Y"}),
        ("POST", p + "/statements", person + "/statements", one),
        ("PUT", p + "/statements/{statement_id}", statement, one),
        ("DELETE", p + "/statements/{statement_id}", ids["spare"], None),
        ("POST", p + "/come-back-codes", new_code, None),
        ("POST", p + "/offers", f"{person}/offers", {"name": "Bread", "words": "with me"}),
        ("POST", p + "/matches", f"{person}/matches", None),
        (
            "POST",
            "/v1/suggestions/{suggestion_id}/steps",
            f"/v1/suggestions/{crowd.ids['suggestion_id']}/steps",
            {"to": "not_for_me"},
        ),
        ("POST", "/v1/enquiries", "/v1/enquiries", {"area": area, "words": "?"}),
        (
            "POST",
            "/v1/enquiries/{enquiry_id}/answers",
            f"/v1/enquiries/{crowd.enquiry.id}/answers",
            {"words": "thanks"},
        ),
        *_decisions(crowd, ids),
        ("POST", "/v1/sessions", "/v1/sessions", {"by": "code", "code": ids["code"]}),
        ("POST", "/v1/accounts", "/v1/accounts", {"called": "P", "roles": [role]}),
        ("POST", "/v1/assignments", "/v1/assignments", assigned),
        ("POST", "/v1/assignments/{assignment_id}/agree", ids["assignment"] + "/agree", None),
        ("DELETE", "/v1/assignments/{assignment_id}", ids["assignment"], None),
        ("POST", "/v1/listings", "/v1/listings", listing),
        ("PUT", "/v1/listings/{listing_id}", ids["listing"], listing),
        ("POST", "/v1/listings/{listing_id}/confirm", ids["listing"] + "/confirm", {}),
        ("DELETE", "/v1/listings/{listing_id}", ids["listing"], None),
        ("PUT", "/v1/areas/{slug}/settings", f"/v1/areas/{area}/settings", settings),
        (
            "DELETE",
            "/v1/accounts/{account_id}/roles/{area}/{role}",
            f"/v1/accounts/{ids['worker']}/roles/{area}/supporter",
            None,
        ),
        ("POST", "/v1/sessions/rotate", "/v1/sessions/rotate", None),
        ("DELETE", "/v1/sessions/current", "/v1/sessions/current", None),
    ]


def _decisions(crowd: Crowd, ids: dict[str, Any]) -> list[tuple[str, str, str, Any]]:
    """Return one success of every route of go-aheads and stops that writes."""
    asked, words = f"/v1/sign-offs/{crowd.ids['sign_off_id']}", {"words": "x"}
    worry = {
        "subject_type": "person",
        "subject_id": str(crowd.story.id),
        "area": crowd.story.area.slug,
        "words": "x",
    }
    return [
        (
            "POST",
            "/v1/enquiries/{enquiry_id}/adult-at-risk",
            f"/v1/enquiries/{crowd.concern.id}/adult-at-risk",
            {"step": "told"},
        ),
        ("PUT", "/v1/sign-offs/{sign_off_id}/wish", f"{asked}/wish", words),
        (
            "POST",
            "/v1/sign-offs/{sign_off_id}/decision",
            f"/v1/sign-offs/{ids['asked']}/decision",
            {"outcome": "approved"},
        ),
        (
            "POST",
            "/v1/challenges/{challenge_id}/decision",
            f"/v1/challenges/{crowd.ids['challenge_id']}/decision",
            {"outcome": "stands", "words": "x"},
        ),
        ("POST", "/v1/sign-offs/{sign_off_id}/challenges", f"{asked}/challenges", words),
        ("POST", "/v1/safety-stops", "/v1/safety-stops", worry),
        (
            "POST",
            "/v1/safety-stops/{stop_id}/answers",
            f"/v1/safety-stops/{crowd.ids['stop_id']}/answers",
            {"outcome": "lifted", "words": "x"},
        ),
    ]


NOT_WRITES = {("POST", "/v1/listings/search")}


async def test_every_route_that_writes_leaves_an_entry(
    crowd: Crowd, maker: Maker, app: Litestar, owner_connection: psycopg.Connection
) -> None:
    area = crowd.story.area
    boss = await maker.account(area, "area_admin", "provider", "manager")
    leaver = await maker.account(area, "citizen")
    worker = await maker.account(area, "supporter")
    other = await maker.story(area)
    said = good(
        await maker.client.get(f"/v1/people/{crowd.story.id}", headers=crowd.account.headers)
    )
    spare = await maker.said(crowd.story, "interest", "trains")
    ids = {
        "statement": said["want_to"][0]["id"],
        "spare": f"/v1/people/{crowd.story.id}/statements/{spare['id']}",
        "worker": str(worker.id),
        "other": str(other.id),
        "code": other.code,
        "asked": await maker.sign_off(other, actor=leaver.actor),
        "listing": f"/v1/listings/{await maker.listing(boss)}",
        "assignment": f"/v1/assignments/{await maker.assignment(crowd.story, worker)}",
    }
    writes = _writes(crowd, ids)
    standing = {
        (method, route.path_format)
        for route in app.routes
        for method in getattr(route, "methods", ())
        if method in ("POST", "PUT", "PATCH", "DELETE") and not route.path_format.startswith(MONEY)
    }
    assert {(method, template) for method, template, _, _ in writes} | NOT_WRITES == standing
    for method, template, path, body in writes:
        owner = ("listings", "accounts", "areas", "challenges")
        ends = ("/decision", "/adult-at-risk", "stop_id}/answers")
        headers = crowd.account.headers
        if (
            any(f"/v1/{name}" in template for name in owner)
            or template == "/v1/assignments"
            or template.endswith(ends)
        ):
            headers = boss.headers
        if template in ("/v1/sessions/rotate", "/v1/sessions/current"):
            leaver = leaver if template.endswith("rotate") else await maker.account(area)
            headers = leaver.headers
        if (method, template) == ("POST", "/v1/people"):
            headers = {}
        keyed = headers | key()
        answer = await maker.client.request(method, path, json=body, headers=keyed)
        good(answer)
        rows = owner_connection.execute(
            "SELECT action FROM audit_entries WHERE correlation_id = %s",
            [answer.headers["x-correlation-id"]],
        ).fetchall()
        assert rows, f"{method} {template} left no entry"
