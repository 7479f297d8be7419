"""Who works with a person sees their story from the person's own yes until the end, not longer."""

import asyncio
from uuid import uuid4

import psycopg
import pytest

from tests.make import Account, Maker, Story, bearer, good, refused

pytestmark = pytest.mark.anyio


async def sees(maker: Maker, worker: Account, story: Story) -> bool:
    """Whether a worker is shown a story."""
    answer = await maker.client.get(f"/v1/people/{story.id}", headers=worker.headers)
    if answer.status_code == 404:
        refused(answer, 404, "visible-to-you")
        return False
    return bool(good(answer)["id"] == str(story.id))


async def test_a_worker_sees_the_story_after_the_yes_and_nothing_after_the_end(
    maker: Maker,
) -> None:
    story = await maker.story()
    worker = await maker.account(story.area, "professional", called="Wanda")
    assert not await sees(maker, worker, story)
    assignment = await maker.assignment(story, worker)
    assert not await sees(maker, worker, story)
    mine = good(await maker.client.get("/v1/assignments", headers=story.headers))["items"]
    assert [(one["worker_called"], one["agreed_at"]) for one in mine] == [("Wanda", None)]
    good(await maker.client.post(f"/v1/assignments/{assignment}/agree", headers=story.headers))
    assert await sees(maker, worker, story)
    good(await maker.client.delete(f"/v1/assignments/{assignment}", headers=story.headers))
    assert not await sees(maker, worker, story)
    outcomes = good(
        await maker.client.get(f"/v1/people/{story.id}/receipts", headers=story.headers)
    )["items"]
    assert [one["outcome"] for one in outcomes] == ["refused", "read", "refused", "refused"]


async def test_a_worker_changes_nothing_in_a_story_that_they_may_read(maker: Maker) -> None:
    story = await maker.story()
    worker = await maker.account(story.area, "scheme_worker")
    await maker.assignment(story, worker, agreed=True)
    body = good(await maker.client.get(f"/v1/people/{story.id}", headers=worker.headers))
    path = f"/v1/people/{story.id}"
    statement = f"{path}/statements/{body['good_at'][0]['id']}"
    one = {"kind": "strength", "words": "what the worker thinks"}
    client, headers = maker.client, worker.headers
    refused(await client.patch(path, json={"called": "X"}, headers=headers), 404)
    refused(await client.post(f"{path}/statements", json=one, headers=headers), 404)
    refused(await client.put(statement, json=one, headers=headers), 404)
    refused(await client.delete(statement, headers=headers), 404)
    refused(await client.post(f"{path}/come-back-codes", headers=headers), 404)
    refused(await client.get(f"{path}/receipts", headers=headers), 404)
    after = good(await client.get(path, headers=story.headers))
    assert after["good_at"] == body["good_at"]


async def test_nobody_says_yes_in_a_persons_place(maker: Maker) -> None:
    story = await maker.story()
    other = await maker.story(story.area)
    manager = await maker.account(story.area, "manager")
    worker = await maker.account(story.area, "professional")
    assignment = await maker.assignment(story, worker, manager=manager)
    path = f"/v1/assignments/{assignment}/agree"
    for headers in (worker.headers, manager.headers, other.headers):
        refused(await maker.client.post(path, headers=headers), 404)
    assert not await sees(maker, worker, story)
    good(await maker.client.post(path, headers=story.headers))
    first = good(await maker.client.get("/v1/assignments", headers=story.headers))["items"][0]
    good(await maker.client.post(path, headers=story.headers))
    again = good(await maker.client.get("/v1/assignments", headers=story.headers))["items"][0]
    assert first["agreed_at"] == again["agreed_at"]


@pytest.mark.parametrize("who", ["person", "worker", "manager"])
async def test_each_of_those_concerned_may_end_it_and_nobody_else(maker: Maker, who: str) -> None:
    story = await maker.story()
    manager = await maker.account(story.area, "manager")
    worker = await maker.account(story.area, "professional")
    assignment = await maker.assignment(story, worker, manager=manager, agreed=True)
    path = f"/v1/assignments/{assignment}"
    for stranger in (
        await maker.account(story.area, "professional"),
        await maker.account(None, "manager"),
        await maker.story(story.area),
    ):
        refused(await maker.client.delete(path, headers=stranger.headers), 404)
    headers = {"person": story.headers, "worker": worker.headers, "manager": manager.headers}[who]
    good(await maker.client.delete(path, headers=headers))
    assert not await sees(maker, worker, story)
    refused(await maker.client.delete(path, headers=headers), 404)
    refused(await maker.client.post(f"{path}/agree", headers=story.headers), 404)


async def test_an_assignment_names_a_worker_and_a_person_of_the_area(maker: Maker) -> None:
    story = await maker.story()
    manager = await maker.account(story.area, "manager")
    worker = await maker.account(story.area, "supporter")
    usual = {
        "worker_account_id": str(worker.id),
        "person_id": str(story.id),
        "area": story.area.slug,
    }

    async def assign(**other: str) -> object:
        return await maker.client.post(
            "/v1/assignments", json=usual | other, headers=manager.headers
        )

    elsewhere = await maker.story()
    citizen = await maker.account(story.area, "citizen")
    for person in (uuid4(), elsewhere.id):
        refused(await assign(person_id=str(person)), 422, "person-of-area")
    for account in (uuid4(), citizen.id):
        refused(await assign(worker_account_id=str(account)), 422, "worker-of-area")
    refused(await assign(area=elsewhere.area.slug), 403, "own-area")
    refused(await assign(area="no-such-area"), 422, "area-known")
    good(await assign())
    refused(await assign(), 409, "assigned-once")


async def test_assigned_twice_at_once_is_assigned_once(maker: Maker) -> None:
    story = await maker.story()
    manager = await maker.account(story.area, "manager")
    worker = await maker.account(story.area, "professional")
    body = {
        "worker_account_id": str(worker.id),
        "person_id": str(story.id),
        "area": story.area.slug,
    }
    answers = await asyncio.gather(
        *(
            maker.client.post("/v1/assignments", json=body, headers=manager.headers)
            for _ in range(4)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]


async def test_a_worker_whose_role_ends_works_with_nobody_there(maker: Maker) -> None:
    story = await maker.story()
    admin = await maker.account(story.area, "area_admin")
    worker = await maker.account(story.area, "professional", "scheme_worker")
    await maker.assignment(story, worker, agreed=True)
    path = f"/v1/accounts/{worker.id}/roles/{story.area.slug}"
    good(await maker.client.delete(f"{path}/scheme_worker", headers=admin.headers))
    assert await sees(maker, worker, story)
    good(await maker.client.delete(f"{path}/professional", headers=admin.headers))
    assert not await sees(maker, worker, story)
    me = good(await maker.client.get("/v1/me", headers=worker.headers))
    assert me["roles"] == []


async def test_two_starts_of_one_account_at_once_make_one_story(
    maker: Maker, owner_connection: psycopg.Connection
) -> None:
    account = await maker.account()
    body = {"area": account.area.slug, "called": "Sam", "good_at": ["chess"]}
    answers = await asyncio.gather(
        *(
            maker.client.post("/v1/people", json=body, headers=bearer(account.token))
            for _ in range(4)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    stories = owner_connection.execute(
        "SELECT count(*) FROM people WHERE account_id = %s", [account.id]
    ).fetchone()
    assert stories == (1,)
