"""Nobody's words are in a log, a queue or a label; figures and papers say who may read them."""

import json
import re
from dataclasses import replace
from uuid import uuid4

import httpx2
import psycopg
import pytest

from api.core.config import Settings
from tests.fixtures.front import Kept, serving
from tests.make import Maker, bearer, good, refused

pytestmark = pytest.mark.anyio

WORD = "Zanzibarquill"


async def test_no_line_of_the_log_carries_what_anybody_said(
    maker: Maker, logged: Kept, client: httpx2.AsyncClient
) -> None:
    area = await maker.area()
    story = await maker.story(
        area,
        called=WORD,
        good_at=[f"{WORD} singing", WORD],
        also=[{"kind": "avoidance", "words": WORD, "facts": [{"fact": "dogs", "wanted": "no"}]}],
    )
    await maker.offer(story, name=WORD, words=WORD)
    await maker.enquiry(area, words=WORD, kind="safeguarding")
    path = f"/v1/people/{story.id}"
    good(await client.get(path, headers=story.headers))
    good(await client.post("/v1/listings/search", json={"words": WORD}))
    wrong = {"area": area.slug, "called": WORD, "also": [{"kind": WORD, "words": WORD}]}
    refused(await client.post("/v1/people", json=wrong), 400)
    refused(await client.post("/v1/people", json={"area": area.slug, "called": WORD}), 422)
    refused(await client.post("/v1/sessions", json={"by": "demo", "who": WORD}), 401)
    refused(await client.get(f"/v1/{WORD}"), 404)
    refused(await client.get(f"/v1/areas/{WORD}"), 404)
    refused(await client.get("/v1/listings", params={"near": WORD[:12]}), 422)
    refused(await client.request(WORD.upper(), "/v1/people"), 405)
    for headers in (
        {"X-Correlation-Id": WORD},
        {"Idempotency-Key": WORD},
        {"User-Agent": WORD, "Referer": f"https://{WORD}.test"},
    ):
        await client.post("/v1/people", json=wrong, headers=headers)
    refused(await client.get("/v1/me", headers=bearer(WORD)), 401)
    assert logged.text.count('"event": "request"') >= 15
    assert WORD.lower() not in logged.text.lower()
    figures = good_text(await client.get("/metrics"))
    assert WORD.lower() not in figures.lower()


def good_text(answer: httpx2.Response) -> str:
    """Return the text of a success."""
    assert answer.is_success, answer.text
    return answer.text


async def test_one_correlation_id_goes_from_header_to_log_record_and_queue(
    maker: Maker, logged: Kept, owner_connection: psycopg.Connection
) -> None:
    area, trace = await maker.area(), str(uuid4())
    answer = await maker.client.post(
        "/v1/people",
        json={"area": area.slug, "called": WORD, "good_at": [WORD]},
        headers={"X-Correlation-Id": trace},
    )
    person_id = good(answer)["id"]
    assert answer.headers["x-correlation-id"] == trace
    lines = [json.loads(line) for line in logged.text.splitlines()]
    assert [line["status"] for line in lines if line["correlation_id"] == trace] == [201]
    audit = owner_connection.execute(
        "SELECT action FROM audit_entries WHERE correlation_id = %s", [trace]
    ).fetchall()
    assert ("story.started",) in audit
    queued = owner_connection.execute(
        "SELECT task, payload FROM outbox WHERE correlation_id = %s", [trace]
    ).fetchall()
    assert queued == [("matches.rematch", {"person_id": person_id})]


@pytest.mark.parametrize(
    "odd", ["words of mine", "x" * 500, "", "'; DROP TABLE people", "caf\u00e9", "\x7f"]
)
async def test_a_correlation_id_that_is_no_uuid_is_not_taken_over(
    client: httpx2.AsyncClient, odd: str
) -> None:
    answer = await client.get(
        "/health/live", headers=[(b"x-correlation-id", odd.encode("latin-1"))]
    )
    assert re.fullmatch(r"[0-9a-f-]{36}", answer.headers["x-correlation-id"])


async def test_each_request_has_a_trace_of_its_own(client: httpx2.AsyncClient) -> None:
    traces = {(await client.get("/health/live")).headers["x-correlation-id"] for _ in range(5)}
    traces |= {(await client.get("/nowhere")).headers["x-correlation-id"] for _ in range(5)}
    assert len(traces) == 10


async def test_figures_are_for_this_machine_or_for_whoever_has_the_token(
    client: httpx2.AsyncClient, settings: Settings
) -> None:
    figures = good_text(await client.get("/metrics"))
    for name in ("kith_http_requests_total", "kith_outbox_waiting", "kith_outbox_lag_seconds"):
        assert name in figures
    refused(await client.get("/metrics", headers={"X-Forwarded-For": "203.0.113.7"}), 404)
    async with serving(settings, address="203.0.113.7") as far:
        refused(await far.get("/metrics"), 404)
    guarded = replace(settings, metrics_token="open-sesame")
    async with serving(guarded, address="203.0.113.7") as far:
        refused(await far.get("/metrics"), 404)
        refused(await far.get("/metrics", headers={"X-Metrics-Token": "wrong"}), 404)
        odd = [(b"x-metrics-token", b"\xff\xfe")]
        refused(await far.get("/metrics", headers=odd), 404)
        good_text(await far.get("/metrics", headers={"X-Metrics-Token": "open-sesame"}))
    async with serving(guarded) as near:
        refused(await near.get("/metrics"), 404)


async def test_the_papers_work_without_a_network_and_without_scripts(
    client: httpx2.AsyncClient,
) -> None:
    page = good_text(await client.get("/docs"))
    assert "<h1>" in page
    assert "/v1/people" in page
    assert "<script" not in page.lower()
    assert not re.findall(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//""", page, re.IGNORECASE)
    assert "@import" not in page
    assert "url(" not in page


async def test_the_schema_is_openapi_3_1_and_names_the_problems(
    client: httpx2.AsyncClient,
) -> None:
    schema = good(await client.get("/docs/openapi.json"))
    assert schema["openapi"].startswith("3.1")
    kinds = set()
    for path, item in schema["paths"].items():
        for method, operation in item.items():
            if path.startswith("/v1"):
                answers = operation["responses"]
                assert {"400", "401", "403", "404", "409", "422", "429", "500", "503"} <= set(
                    answers
                ), f"{method} {path}"
                kinds |= set(answers["422"]["content"])
    assert kinds == {"application/problem+json"}
    for name in ("StartStory", "NewEnquiry", "NewAccount"):
        shape = next(
            one for key, one in schema["components"]["schemas"].items() if key.endswith(name)
        )
        assert shape["additionalProperties"] is False
    assert "/metrics" not in schema["paths"]
