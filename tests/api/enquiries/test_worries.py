"""A worry from any object in two actions, and what is done for the adult at risk (law.md 3)."""

from typing import Any
from uuid import uuid4

import psycopg
import pytest

from tests.make import Account, Enquiry, Maker, good, key, refused

pytestmark = pytest.mark.anyio

THINGS = ["pool", "pool_stage", "budget", "sign_off", "person", "listing"]


async def worry(
    maker: Maker, account: Account, *, about: dict[str, str] | None = None
) -> dict[str, Any]:
    """Be worried, in one request."""
    body = {
        "area": account.area.slug,
        "kind": "safeguarding",
        "words": "He shouts at her.",
        "about": about,
    }
    made: dict[str, Any] = good(
        await maker.client.post("/v1/enquiries", json=body, headers=account.headers)
    )
    return made


@pytest.mark.parametrize("thing", THINGS)
async def test_seeing_it_and_saying_it_are_two_actions_whatever_it_is(
    maker: Maker, thing: str
) -> None:
    account = await maker.account()
    manager = await maker.account(account.area, "manager")
    about = {"type": thing, "id": str(uuid4())}
    made = await worry(maker, account, about=about)
    assert made["code"]
    path = f"/v1/enquiries/{made['id']}"
    assert good(await maker.client.get(path, headers=manager.headers))["about"] == about
    refused(await maker.client.get(path, headers=account.headers), 404)
    token = await maker.sign_in(made["code"])
    holder = {"Authorization": f"Bearer {token}"}
    assert good(await maker.client.get(path, headers=holder))["about"] == about


async def test_a_worry_about_nothing_in_particular_is_as_good(maker: Maker) -> None:
    account = await maker.account()
    manager = await maker.account(account.area, "manager")
    made = await worry(maker, account)
    body = good(await maker.client.get(f"/v1/enquiries/{made['id']}", headers=manager.headers))
    assert (body["about"], body["lead_notes"]) == (None, [])


async def test_a_thing_that_nobody_knows_is_named_as_such(maker: Maker) -> None:
    account = await maker.account()
    body = {
        "area": account.area.slug,
        "kind": "safeguarding",
        "words": "x",
        "about": {"type": "dream", "id": str(uuid4())},
    }
    answer = await maker.client.post("/v1/enquiries", json=body, headers=account.headers)
    problem = refused(answer, 400)
    assert any("999" in way for way in problem["what_else"])


async def test_a_worry_about_somebody_is_told_to_nobody_it_is_about(maker: Maker) -> None:
    account = await maker.account()
    about = await maker.story(account=account)
    raiser = await maker.account(account.area)
    made = await worry(maker, raiser, about={"type": "person", "id": str(about.id)})
    path = f"/v1/enquiries/{made['id']}"
    for reader in (account, raiser, await maker.account(account.area, "scheme_worker")):
        refused(await maker.client.get(path, headers=reader.headers), 404)


async def note(maker: Maker, enquiry: Enquiry, by: Account, **body: str) -> Any:
    """Write down what was done for the adult at risk."""
    path = f"/v1/enquiries/{enquiry.id}/adult-at-risk"
    return await maker.client.post(path, json=body, headers=by.headers)


async def test_the_adult_at_risk_is_asked_and_told_or_the_lead_writes_why_not(
    maker: Maker,
) -> None:
    account = await maker.account()
    manager = await maker.account(account.area, "manager")
    social_worker = await maker.account(account.area, "professional")
    concern = await maker.enquiry(account.area, kind="safeguarding", account=account)
    good(await note(maker, concern, social_worker, step="asked_wish", words="Do not tell him."))
    refused(await note(maker, concern, manager, step="not_told"), 422, "why-not-told")
    good(await note(maker, concern, manager, step="not_told", words="He reads her post."))
    body = good(await note(maker, concern, manager, step="told"))
    steps = [(one["step"], one["words"]) for one in body["lead_notes"]]
    assert steps == [
        ("asked_wish", "Do not tell him."),
        ("not_told", "He reads her post."),
        ("told", None),
    ]
    path = f"/v1/enquiries/{concern.id}"
    assert good(await maker.client.get(path, headers=concern.headers))["lead_notes"] == []


async def test_the_lead_is_a_social_worker_or_manager_of_the_area_and_not_who_raised_it(
    maker: Maker,
) -> None:
    area = await maker.area()
    raiser = await maker.account(area, "manager")
    concern = await maker.enquiry(area, kind="safeguarding", account=raiser)
    told = {"step": "told"}
    refused(await note(maker, concern, raiser, **told), 403, "lead-writes")
    nurse = await maker.account(area, "professional", profession="nurse")
    for account in (nurse, await maker.account(None, "manager")):
        refused(await note(maker, concern, account, **told), 404)
    scheme_worker = await maker.account(area, "scheme_worker")
    refused(await note(maker, concern, scheme_worker, **told), 403, "role-needed")
    question = await maker.enquiry(area)
    refused(await note(maker, question, nurse, **told), 403, "lead-writes")


async def test_a_raiser_who_protects_people_there_does_not_read_the_leads_notes(
    maker: Maker,
) -> None:
    area = await maker.area()
    raiser, lead = await maker.account(area, "manager"), await maker.account(area, "manager")
    concern = await maker.enquiry(area, kind="safeguarding", account=raiser)
    good(await note(maker, concern, lead, step="not_told", words="It may be the raiser."))
    path = f"/v1/enquiries/{concern.id}"
    body = good(await maker.client.get(path, headers=raiser.headers))
    assert body["lead_notes"] == []


async def test_what_the_lead_wrote_stays_and_is_written_once(
    maker: Maker, owner_connection: psycopg.Connection
) -> None:
    area = await maker.area()
    lead = await maker.account(area, "manager")
    concern = await maker.enquiry(area, kind="safeguarding")
    path = f"/v1/enquiries/{concern.id}/adult-at-risk"
    headers, body = lead.headers | key(), {"step": "told"}
    for _ in range(2):
        good(await maker.client.post(path, json=body, headers=headers))
    notes = owner_connection.execute(
        "SELECT count(*) FROM enquiry_lead_notes WHERE enquiry_id = %s", [concern.id]
    ).fetchone()
    assert notes == (1,)
    with pytest.raises(psycopg.errors.RestrictViolation):
        owner_connection.execute(
            "DELETE FROM enquiry_lead_notes WHERE enquiry_id = %s", [concern.id]
        )
