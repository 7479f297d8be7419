"""One person whose story touches every personal table, and everybody who might look at it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

from httpx2 import AsyncClient

from api.core.db import Database
from tests.make import Account, Enquiry, Maker, Story, good, key, now
from tests.properties.crowd_decisions import have_decided
from tests.properties.crowd_group import join_a_group
from tests.properties.crowd_ideas import get_ideas
from tests.properties.crowd_money import have_money
from tests.properties.readers import WORDS, Reader, signed_in

LATER = timedelta(days=100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """A person with an account, all that stands about them, and the readers by name.

    ``old_code`` let people into the person's group once, and does not any more.
    """

    account: Account
    story: Story
    enquiry: Enquiry
    concern: Enquiry
    old_code: str
    ids: Mapping[str, UUID]
    readers: Mapping[str, Reader]


async def gather(maker: Maker, client: AsyncClient, database: Database) -> Crowd:
    """Let somebody say something of everything, and let everybody else stand around."""
    area = await maker.area()
    account = await maker.account(area, called=WORDS)
    keyed = account.headers | key()
    begun = {
        "area": area.slug,
        "called": WORDS,
        "good_at": [WORDS],
        "want_to": [f"{WORDS} more"],
        "also": [
            {"kind": "avoidance", "words": WORDS, "facts": [{"fact": "dogs", "wanted": "no"}]}
        ],
    }
    started = good(await client.post("/v1/people", json=begun, headers=keyed))
    story = Story(id=UUID(started["id"]), area=area, code=None, token=account.token)
    codes = f"/v1/people/{story.id}/come-back-codes"
    code = good(await client.post(codes, headers=account.headers))["code"]
    came_back = await maker.sign_in(code)
    offer = await maker.offer(story, name=WORDS, words=WORDS)
    said = good(await client.get(f"/v1/people/{story.id}", headers=account.headers))
    idea = await get_ideas(maker, database, story, offer, said["want_to"][0]["id"])
    enquiry = await maker.enquiry(area, account=account, words=WORDS)
    concern = await maker.enquiry(area, account=account, words=WORDS, kind="safeguarding")
    readers, assignments = await _readers(maker, story, enquiry, concern)
    money = await have_money(maker, database, story)
    group = await join_a_group(maker, database, story, money)
    decided = await have_decided(maker, account, story, concern, readers)
    own = {
        "the person": Reader("person", account.id, headers=account.headers, due="own"),
        "their code": Reader(
            "code_holder", story.id, headers={"Authorization": f"Bearer {came_back}"}, due="own"
        ),
        "the request with the key": Reader(
            "person", account.id, due="own", key=keyed["Idempotency-Key"]
        ),
        "the person, let in": Reader("person", account.id, due="own", let_in=group.ids["pool_id"]),
    }
    ids = {
        "person_id": story.id,
        "account_id": account.id,
        "statement_id": UUID(said["good_at"][0]["id"]),
        "listing_id": offer,
        "suggestion_id": idea,
        "enquiry_id": enquiry.id,
        "concern_id": concern.id,
        "assignment_id": assignments,
    }
    return Crowd(
        account=account,
        story=story,
        enquiry=enquiry,
        concern=concern,
        old_code=group.old_code,
        ids=ids | decided | money.ids | group.ids,
        readers=readers | money.readers | group.readers | own,
    )


async def _readers(
    maker: Maker, story: Story, enquiry: Enquiry, concern: Enquiry
) -> tuple[dict[str, Reader], UUID]:
    area = story.area
    other = await maker.account(area)
    await maker.story(account=other)
    holder = await maker.story(area)
    strange = await maker.enquiry(area)
    found = {
        "nobody": Reader(""),
        "anonymous": Reader("anonymous", headers={}),
        "another citizen": signed_in(other),
        "another's code": Reader("code_holder", holder.id, headers=holder.headers),
        "another question's code": Reader("code_holder", strange.id, headers=strange.headers),
        "a provider": signed_in(await maker.account(area, "provider")),
        "a commissioner": signed_in(await maker.account(area, "commissioner"), due="keeps"),
        "a manager elsewhere": signed_in(await maker.account(None, "manager", "area_admin")),
        "a task for nobody": Reader("task", uuid4(), due="task", at=now() + LATER),
        "a task for another": Reader("task", uuid4(), holder.id, due="task"),
        "a task for the person": Reader("task", uuid4(), story.id, due="task"),
        "a service": Reader("service", due="service"),
        "the question's code": Reader("code_holder", enquiry.id, due="question"),
        "the concern's code": Reader("code_holder", concern.id, due="question"),
    }
    roles = {
        "a manager": ("manager", "area"),
        "the manager who decided": ("manager", "area"),
        "an area admin": ("area_admin", "area"),
        "a scheme worker": ("scheme_worker", "front door"),
        "a social worker": ("professional", "front door"),
    }
    for name, (role, due) in roles.items():
        found[name] = signed_in(await maker.account(area, role), due=due)
    manager = await maker.account(area, "manager")
    stands = UUID(int=0)
    for name, due in (("asked", "named"), ("agreed", "story"), ("ended", "named")):
        worker = await maker.account(area, "supporter")
        made = await maker.assignment(
            story, worker, manager=manager, agreed=name != "asked", ended=name == "ended"
        )
        stands = made if name == "asked" else stands
        found[f"a worker, {name}"] = signed_in(worker, due=due)
    therapist = await maker.account(area, "professional", profession="occupational_therapist")
    await maker.assignment(story, therapist, manager=manager, agreed=True)
    found["a therapist, agreed"] = signed_in(therapist, due="story")
    return found, stands
