"""One person whose story touches every personal table, and everybody who might look at it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
from httpx2 import AsyncClient
from psycopg import sql
from psycopg.pq import TransactionStatus
from sqlalchemy import Table, Uuid

from api.core.db import Database
from api.core.metadata import Base
from api.identity.rules import Task
from api.matches import store
from matching.values import MatchResult, Reason, Suggestion, Unmet
from tests.api.budgets.purses import pay
from tests.make import Account, Enquiry, Maker, Story, good, key, now

WORDS = "Quietwords-kaleidoscope"
MODEL = "test-model"
LATER = timedelta(days=100)

PERSONAL: list[Table] = [
    table for table in Base.metadata.sorted_tables if table.info.get("personal") is True
]
# Kept for the person's sake and read by no policy of theirs: see the slice that writes them.
TEXT_IDS = {"idempotency_keys": ("resource",)}


@dataclass(frozen=True, slots=True)
class Reader:
    """Somebody who looks: what a transaction of theirs is told, and their token if they have one.

    ``due`` is what they may see: "nothing", or a reason why not nothing.
    """

    kind: str
    id: UUID | None = None
    subject_id: UUID | None = None
    headers: Mapping[str, str] | None = None
    due: str = "nothing"
    at: datetime | None = None
    key: str = ""


@dataclass(frozen=True, slots=True)
class Crowd:
    """A person with an account, all that stands about them, and the readers by name."""

    account: Account
    story: Story
    enquiry: Enquiry
    concern: Enquiry
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
    idea = await _match(maker, database, story, offer, said["want_to"][0]["id"])
    enquiry = await maker.enquiry(area, account=account, words=WORDS)
    concern = await maker.enquiry(area, account=account, words=WORDS, kind="safeguarding")
    readers, assignments = await _readers(maker, story, enquiry, concern)
    decided = await _decided(maker, account, story, concern, readers)
    money, around = await _money(maker, database, story)
    own = {
        "the person": Reader("person", account.id, headers=account.headers, due="own"),
        "their code": Reader(
            "code_holder", story.id, headers={"Authorization": f"Bearer {came_back}"}, due="own"
        ),
        "the request with the key": Reader(
            "person", account.id, due="own", key=keyed["Idempotency-Key"]
        ),
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
    return Crowd(account, story, enquiry, concern, ids | decided | money, readers | around | own)


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
        "another citizen": _account(other),
        "another's code": Reader("code_holder", holder.id, headers=holder.headers),
        "another question's code": Reader("code_holder", strange.id, headers=strange.headers),
        "a provider": _account(await maker.account(area, "provider")),
        "a commissioner": _account(await maker.account(area, "commissioner")),
        "a manager elsewhere": _account(await maker.account(None, "manager", "area_admin")),
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
        found[name] = _account(await maker.account(area, role), due=due)
    manager = await maker.account(area, "manager")
    stands = UUID(int=0)
    for name, due in (("asked", "named"), ("agreed", "story"), ("ended", "named")):
        worker = await maker.account(area, "supporter")
        made = await maker.assignment(
            story, worker, manager=manager, agreed=name != "asked", ended=name == "ended"
        )
        stands = made if name == "asked" else stands
        found[f"a worker, {name}"] = _account(worker, due=due)
    therapist = await maker.account(area, "professional", profession="occupational_therapist")
    await maker.assignment(story, therapist, manager=manager, agreed=True)
    found["a therapist, agreed"] = _account(therapist, due="story")
    return found, stands


def _account(account: Account, *, due: str = "nothing") -> Reader:
    return Reader("person", account.id, headers=account.headers, due=due)


async def _decided(
    maker: Maker,
    account: Account,
    story: Story,
    concern: Enquiry,
    readers: Mapping[str, Reader],
) -> dict[str, UUID]:
    """Let a go-ahead be asked for, refused and looked at again; a stop said, and answered."""
    asked = await maker.sign_off(
        story, actor=account.actor, about={"what": WORDS}, wish=WORDS, amount_pence=100
    )

    async def sent(path: str, body: dict[str, object], by: str) -> dict[str, Any]:
        headers = account.headers if by == "the person" else readers[by].headers
        answer: dict[str, Any] = good(
            await maker.client.post(f"/v1/{path}", json=body, headers=headers)
        )
        return answer

    no = {
        "outcome": "declined",
        "ground": "plan_fit",
        "words": WORDS,
        "who_can_change": WORDS,
        "rings_by": now().date().isoformat(),
    }
    await sent(f"sign-offs/{asked}/decision", no, "the manager who decided")
    again = await sent(f"sign-offs/{asked}/challenges", {"words": WORDS}, "the person")
    worry = {
        "subject_type": "person",
        "subject_id": str(story.id),
        "area": story.area.slug,
        "words": WORDS,
    }
    stop = await sent("safety-stops", worry, "the person")
    upheld = {"outcome": "upheld", "words": WORDS}
    await sent(f"safety-stops/{stop['id']}/answers", upheld, "a manager")
    told = {"step": "asked_wish", "words": WORDS}
    await sent(f"enquiries/{concern.id}/adult-at-risk", told, "a manager")
    return {
        "sign_off_id": asked,
        "challenge_id": UUID(again["challenges"][0]["id"]),
        "stop_id": UUID(stop["id"]),
    }


async def _money(
    maker: Maker, database: Database, story: Story
) -> tuple[dict[str, UUID], dict[str, Reader]]:
    """Let the person have money, people who act for it, a payment under way, and its holder."""
    friend, deputy = await maker.account(story.area), await maker.account(story.area)
    holder = await maker.account(story.area)
    manager = await maker.account(story.area, "manager")
    held = {"holder_called": WORDS, "holder_account_id": str(holder.id)}
    budget = await maker.budget(story, pence=500, **held)
    await maker.budget(story, kind="own_money", pence=1, holder_called=WORDS)
    path = f"/v1/budgets/{budget.id}"
    for to, authority, headers in (
        (friend, "own_say_so", story.headers),
        (deputy, "deputy", manager.headers),
    ):
        given = {"account_id": str(to.id), "authority": authority, "may": ["see", "promise", "pay"]}
        told = good(await maker.client.post(f"{path}/authorities", json=given, headers=headers))
    word = f"{path}/pooling-authority"
    good(await maker.client.put(word, json={"given": True}, headers=story.headers))
    await pay(database, budget, 100, called=WORDS)
    assert budget.funder is not None
    ids = {
        "budget_id": budget.id,
        "authority_id": UUID(told["who_may_act"][0]["id"]),
        "funder_id": budget.funder.id,
    }
    finance = await maker.account(story.area, "finance")
    return ids, {
        "whom they let act": _account(friend, due="money"),
        "a deputy": _account(deputy, due="money"),
        "whoever holds the money": _account(holder, due="money"),
        "the area's finance": _account(finance, due="money"),
    }


async def _match(maker: Maker, database: Database, story: Story, offer: UUID, goal: str) -> UUID:
    """Store a run with one idea and one unmet want, as the matcher's task does."""
    provider = await maker.account(story.area, "provider")
    listing = await maker.listing(provider)
    neighbour = await maker.story(story.area)
    theirs = await maker.offer(neighbour)
    actor = Task("matches.rematch", uuid4(), story.id)
    vector = bytes(384)
    reason = Reason("for", "free", {})
    result = MatchResult(
        person_id=story.id,
        suggestions=tuple(
            Suggestion(one, 500, {"meaning": 500}, (reason,)) for one in (listing, theirs)
        ),
        unmet=(Unmet(goal, "nothing_like_it", {}),),
        looked_at=1,
    )
    async with database.write(actor=actor, now=now()) as tx:
        await store.keep_statement_vectors(
            tx, person_id=story.id, model_id=MODEL, vectors={UUID(goal): vector}
        )
        await store.keep_offer_vectors(
            tx, listing_id=offer, model_id=MODEL, words_hash=b"0", vectors=vector
        )
        await store.keep_run(
            tx,
            actor=actor,
            now=now(),
            outbox_id=actor.outbox_id,
            model_id=MODEL,
            snapshot_hash=b"0",
            people_looked_at=1,
            look_again_days=14,
            result=result,
        )
    path = f"/v1/people/{story.id}/suggestions"
    ideas = good(await maker.client.get(path, headers=story.headers))["items"]
    step = {"to": "seen"}
    path = f"/v1/suggestions/{ideas[0]['id']}/steps"
    good(await maker.client.post(path, json=step, headers=story.headers))
    return UUID(ideas[0]["id"])


def id_columns(table: Table) -> list[str]:
    """Return the columns of a table that may name a person or what is theirs."""
    found = [column.name for column in table.columns if isinstance(column.type, Uuid)]
    return [*found, *TEXT_IDS.get(table.name, ())]


def about(table: Table, ids: Mapping[str, UUID]) -> sql.Composed:
    """Return the condition for rows that are about the person."""
    wanted = sql.Literal([str(one) for one in ids.values()])
    either = [
        sql.SQL("{}::text = ANY ({})").format(sql.Identifier(name), wanted)
        for name in id_columns(table)
        if name not in ("area_id", "worker_account_id", "run_id", "outbox_id")
    ]
    return sql.SQL(" OR ").join(either)


@contextmanager
def looking(
    connection: psycopg.Connection, reader: Reader, *, role: str = "kith_api"
) -> Iterator[psycopg.Connection]:
    """Be somebody for one transaction, in the application's role, and keep nothing of it."""
    with connection.transaction(force_rollback=True):
        connection.execute(becoming(reader, role=role))
        yield connection


def becoming(reader: Reader, *, role: str = "kith_api") -> sql.Composed:
    """Return the statements by which the rest of a transaction is a reader's."""
    told = {
        "actor_kind": reader.kind,
        "actor_id": str(reader.id or ""),
        "subject_id": str(reader.subject_id or ""),
        "now": (reader.at or now()).isoformat(),
        "idempotency_key": f"person:{reader.id} {reader.key}" if reader.key else "",
    }
    settings = [
        sql.SQL("SET LOCAL app.{} = {}").format(sql.SQL(name), sql.Literal(value))
        for name, value in told.items()
    ]
    role_set = sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role))
    return sql.SQL("; ").join([*settings, role_set])


def rows_seen(
    connection: psycopg.Connection, reader: Reader, table: Table, crowd: Crowd
) -> int | str:
    """Count the person's rows that a reader sees in a table; an SQLSTATE when it may not look."""
    statement = sql.SQL("SELECT count(*) FROM {} WHERE {}").format(
        sql.Identifier(table.name), about(table, crowd.ids)
    )
    return _outcome(connection, reader, statement)


def all_seen(connection: psycopg.Connection, reader: Reader, table: Table) -> int | str:
    """Count all the rows that a reader sees in a table, whoever they are about."""
    statement = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table.name))
    return _outcome(connection, reader, statement)


def rows_changed(
    connection: psycopg.Connection, reader: Reader, table: Table, column: str
) -> int | str:
    """Count the rows that a reader could change without reading any; an SQLSTATE on an error."""
    statement = sql.SQL("UPDATE {} SET {} = DEFAULT")
    return _outcome(
        connection, reader, statement.format(sql.Identifier(table.name), sql.Identifier(column))
    )


def row_added(
    connection: psycopg.Connection, reader: Reader, table: Table, row: dict[str, object]
) -> int | str:
    """Try to put a copy of one of the person's rows in, as a reader."""
    columns = sql.SQL(", ").join(sql.Identifier(name) for name in row)
    values = sql.SQL(", ").join(sql.Literal(value) for value in row.values())
    statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
        sql.Identifier(table.name), columns, values
    )
    return _outcome(connection, reader, statement)


def _outcome(connection: psycopg.Connection, reader: Reader, statement: sql.Composed) -> int | str:
    """Return what a statement of a reader's comes to, in two round trips; nothing is kept."""
    inside = connection.info.transaction_status != TransactionStatus.IDLE
    begin, undo = ("SAVEPOINT look", "ROLLBACK TO look") if inside else ("BEGIN", "ROLLBACK")
    whole = sql.SQL("; ").join([sql.SQL(begin), becoming(reader), statement])
    try:
        cursor = connection.execute(whole)
        while cursor.nextset():
            pass
        row = cursor.fetchone() if cursor.description else (cursor.rowcount,)
        return int(row[0]) if row is not None else 0
    except psycopg.Error as error:
        return error.sqlstate or type(error).__name__
    finally:
        connection.execute(undo)
