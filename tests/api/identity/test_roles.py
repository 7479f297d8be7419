"""Roles belong to an area: its admin gives and takes them there, and nowhere else."""

from typing import Any

import pytest

from tests.make import Maker, good, key, refused

pytestmark = pytest.mark.anyio


def roles(*held: tuple[str, str], profession: str | None = None) -> dict[str, Any]:
    """Return the body of a new account with roles as (area, role)."""
    given = [
        {"area": area, "role": role}
        | ({"profession": profession} if profession is not None else {})
        for area, role in held
    ]
    return {"called": "Pat", "roles": given}


async def test_an_area_admin_gives_roles_in_their_own_area_only(maker: Maker) -> None:
    admin = await maker.account(None, "area_admin")
    elsewhere = await maker.area()
    post = maker.client.post
    mine = admin.area.slug
    good(await post("/v1/accounts", json=roles((mine, "manager")), headers=admin.headers))
    for wrong in (
        roles((elsewhere.slug, "citizen")),
        roles((elsewhere.slug, "manager")),
        roles((mine, "manager"), (elsewhere.slug, "manager")),
    ):
        refused(await post("/v1/accounts", json=wrong, headers=admin.headers), 403, "own-area")
    unknown = roles(("no-such-area", "manager"))
    refused(await post("/v1/accounts", json=unknown, headers=admin.headers), 422, "area-known")


@pytest.mark.parametrize("role", ["manager", "professional", "provider", "citizen"])
async def test_nobody_but_an_area_admin_makes_accounts_or_ends_roles(
    maker: Maker, role: Any
) -> None:
    somebody = await maker.account(None, role)
    slug = somebody.area.slug
    body = roles((slug, "area_admin"))
    answer = await maker.client.post("/v1/accounts", json=body, headers=somebody.headers)
    refused(answer, 403, "role-needed")
    path = f"/v1/accounts/{somebody.id}/roles/{slug}/{role}"
    refused(await maker.client.delete(path, headers=somebody.headers), 403, "role-needed")
    refused(await maker.client.post("/v1/accounts", json=body), 401, "sign-in-needed")


async def test_a_professional_has_a_profession_and_nobody_else_has_one(maker: Maker) -> None:
    admin = await maker.account(None, "area_admin")
    slug = admin.area.slug
    for wrong in (roles((slug, "professional")), roles((slug, "citizen"), profession="nurse")):
        answer = await maker.client.post("/v1/accounts", json=wrong, headers=admin.headers)
        refused(answer, 422, "profession-named")
    right = roles((slug, "professional"), profession="nurse")
    good(await maker.client.post("/v1/accounts", json=right, headers=admin.headers))


async def test_the_same_role_twice_is_refused_and_leaves_no_account(maker: Maker) -> None:
    admin = await maker.account(None, "area_admin")
    twice = roles((admin.area.slug, "citizen"), (admin.area.slug, "citizen"))
    answer = await maker.client.post("/v1/accounts", json=twice, headers=admin.headers)
    refused(answer, 422, "role-once")


async def test_a_role_ends_at_once_for_the_sign_in_under_way(maker: Maker) -> None:
    admin = await maker.account(None, "area_admin")
    manager = await maker.account(admin.area, "manager", "citizen")
    path = f"/v1/accounts/{manager.id}/roles/{admin.area.slug}/manager"
    good(await maker.client.get("/v1/enquiries", headers=manager.headers))
    good(await maker.client.delete(path, headers=admin.headers))
    refused(await maker.client.get("/v1/enquiries", headers=manager.headers), 403, "role-needed")
    me = good(await maker.client.get("/v1/me", headers=manager.headers))
    assert me["roles"] == [{"area": admin.area.slug, "role": "citizen"}]
    refused(await maker.client.delete(path, headers=admin.headers), 404)
    other = await maker.account(None, "area_admin")
    again = f"/v1/accounts/{manager.id}/roles/{admin.area.slug}/citizen"
    refused(await maker.client.delete(again, headers=other.headers), 403, "own-area")
    bad = f"/v1/accounts/{manager.id}/roles/{admin.area.slug}/king"
    refused(await maker.client.delete(bad, headers=admin.headers), 400)


async def test_a_role_of_one_area_opens_nothing_in_another(maker: Maker) -> None:
    manager = await maker.account(None, "manager")
    story = await maker.story()
    worker = await maker.account(story.area, "professional")
    body = {
        "worker_account_id": str(worker.id),
        "person_id": str(story.id),
        "area": story.area.slug,
    }
    answer = await maker.client.post("/v1/assignments", json=body, headers=manager.headers)
    refused(answer, 403, "own-area")
    body["area"] = manager.area.slug
    answer = await maker.client.post("/v1/assignments", json=body, headers=manager.headers)
    refused(answer, 422)
    admin = await maker.account(None, "area_admin")
    path = f"/v1/areas/{story.area.slug}/settings"
    change = {"version": 1, "reason": "mine now", "settings": {"front_door_name": "Mine"}}
    refused(await maker.client.put(path, json=change, headers=admin.headers), 403, "own-area")


async def test_the_code_of_a_new_account_is_shown_once_even_with_a_key(maker: Maker) -> None:
    admin = await maker.account(None, "area_admin")
    headers = admin.headers | key()
    body = roles((admin.area.slug, "citizen"))
    first = good(await maker.client.post("/v1/accounts", json=body, headers=headers))
    again = good(await maker.client.post("/v1/accounts", json=body, headers=headers))
    assert first["code"]
    assert again == first | {"code": None}
