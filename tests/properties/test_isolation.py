"""A stranger's story: zero rows in every personal table, and nothing over any route with an id.

The readers are told apart by what they are due. That the test sees is tested too: without any one
policy, or with any one policy open to all, what readers can do changes.
"""

from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import httpx2
import psycopg
import pytest
from litestar import Litestar
from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from sqlalchemy import Table
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import make_url

from api.core.config import Settings
from api.core.db import Database
from tests.fixtures.front import serving
from tests.fixtures.servers import API, OWNER, WORKER, Servers
from tests.groups import OFFER
from tests.make import Maker, good, refused
from tests.properties.crowd import Crowd, gather
from tests.properties.readers import (
    PERSONAL,
    WORDS,
    Reader,
    about,
    all_seen,
    looking,
    row_added,
    rows_changed,
    rows_seen,
    tables_seen,
)

pytestmark = pytest.mark.anyio

BY_NAME = {table.name: table for table in PERSONAL}
STORY = {
    "people",
    "practicalities",
    "statements",
    "statement_facts",
    "listings",
    "match_runs",
    "suggestions",
    "unmet_wants",
}
KEPT = {"come_back_codes", "sessions", "read_receipts", "suggestion_events"}
ASKED = {"enquiries", "enquiry_events", "enquiry_messages"}
DECIDED = {"sign_offs", "sign_off_wishes", "sign_off_decisions", "challenges"}
STOPPED = {"safety_stops", "safety_stop_answers"}
# Beside go-aheads and stops; and what only those who protect people there read.
EVENTS, LED = {"decision_events"}, {"enquiry_lead_notes"}
MONEY = {"budgets", "budget_purposes", "budget_authorities", "budget_events", "payments"}
# A group as its people see it; and what is the person's in it, of which others see nothing.
GROUP = {
    "pools",
    "pool_members",
    "pool_steps",
    "pool_choices",
    "pool_offers",
    "pool_messages",
    "pool_votes",
    "pool_stages",
    "pool_stage_words",
    "pool_approvals",
}
PROMISED, PART = {"pool_pledges"}, {"pool_pledges", "pool_ballots", "pool_member_events"}
# Which tables show a reader anything of the person, by what the reader is due. Whatever is not
# named here shows nothing; the rows of ASKED are counted one by one below.
DUE: dict[str, set[str]] = {
    "nothing": set(),
    "story": STORY | {"assignments"},
    "named": {"assignments"},
    "area": {"accounts", "account_roles", "assignments"},
    "front door": ASKED,
    "question": ASKED | {"audit_entries", "come_back_codes", "sessions"},
    "service": {"accounts", "account_roles", "assignments"},
    "money": MONEY,
    "acts": MONEY | GROUP | PROMISED,
    "finance": MONEY | GROUP | PROMISED,
    "keeps": GROUP | PROMISED,
    "group": GROUP,
    "left": {"pools", "pool_offers"},
}
OWN = (
    STORY
    | KEPT
    | ASKED
    | DECIDED
    | STOPPED
    | EVENTS
    | MONEY
    | GROUP
    | PART
    | {"assignments", "accounts", "account_roles", "audit_entries"}
)
# With what they did themselves.
MANAGER = DUE["area"] | ASKED | DECIDED | STOPPED | EVENTS | LED | MONEY | {"audit_entries"}
MANAGER |= GROUP | PROMISED | {"pool_member_events"}
TASK = {"enquiries", "enquiry_events", "offer_vectors", "payments"}
BY_READER: dict[str, set[str]] = {
    "the person": OWN,
    "the person, let in": OWN,
    "the request with the key": OWN | {"idempotency_keys"},
    "their code": STORY | KEPT | DECIDED | EVENTS | MONEY | GROUP | PART | {"assignments"},
    "a manager": MANAGER,
    "the manager who decided": MANAGER,
    "a social worker": ASKED | STOPPED | EVENTS | LED,
    "a therapist, agreed": DUE["story"] | ASKED | DECIDED | EVENTS,
    "the concern's code": DUE["question"] | {"read_receipts"},
    "a task for nobody": TASK | {"idempotency_keys"},
    "a task for another": TASK,
    "the group's task": TASK | GROUP | PROMISED | {"pool_member_events"},
    "a task for the person": TASK
    | STORY
    | MONEY
    | {"assignments", "read_receipts", "statement_vectors", "suggestion_events"},
}


@pytest.fixture(scope="module")
def apart(servers: Servers, settings: Settings) -> Settings:
    """Return settings for a database in which policies may be taken away."""
    name, url = servers.clone(), servers.stack.database_url
    return replace(
        settings,
        database_url=url(role=API, database=name),
        worker_url=url(role=WORKER, database=name),
        migrate_url=url(role=OWNER, database=name),
    )


@pytest.fixture(scope="module")
async def visitor(apart: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    """Lend a client of an application on that database."""
    async with serving(apart) as lent:
        yield lent


@pytest.fixture(scope="module")
async def crowd(apart: Settings, visitor: httpx2.AsyncClient) -> AsyncIterator[Crowd]:
    """Gather the person and everybody who might look."""
    database = Database(apart.database_url, application_name="kith-test")
    yield await gather(Maker(visitor, database), visitor, database)
    await database.close()


@pytest.fixture(scope="module")
def power(apart: Settings, servers: Servers) -> Iterator[psycopg.Connection]:
    """Connect as the superuser, who may become anybody and change policies."""
    name = make_url(apart.database_url).database or ""
    url = servers.stack.database_url(role="postgres", database=name)
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


async def test_the_person_is_in_every_personal_table_so_that_zero_rows_mean_something(
    crowd: Crowd, power: psycopg.Connection
) -> None:
    for table in PERSONAL:
        statement = sql.SQL("SELECT count(*) FROM {} WHERE {}").format(
            sql.Identifier(table.name), about(table, crowd.ids)
        )
        assert power.execute(statement).fetchone() != (0,), table.name


@pytest.mark.parametrize("role", [API, WORKER])
async def test_with_no_actor_there_is_no_row_at_all_in_any_personal_table(
    crowd: Crowd, power: psycopg.Connection, role: str
) -> None:
    for table in PERSONAL:
        with looking(power, Reader(""), role=role):
            statement = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table.name))
            assert power.execute(statement).fetchone() == (0,), table.name


async def test_every_reader_sees_what_they_are_due_and_no_more(
    crowd: Crowd, power: psycopg.Connection
) -> None:
    for name, reader in crowd.readers.items():
        due = BY_READER[name] if name in BY_READER else DUE[reader.due]
        seen = tables_seen(power, reader, crowd.ids)
        assert seen == due, f"{name}: {sorted(seen ^ due)}"


async def test_a_concern_shows_to_those_who_protect_and_not_to_the_account_it_came_from(
    crowd: Crowd, power: psycopg.Connection
) -> None:
    rows = {
        name: rows_seen(power, crowd.readers[name], BY_NAME["enquiries"], crowd.ids)
        for name in ("the person", "a scheme worker", "a social worker", "a manager")
    }
    assert rows == {
        "the person": 1,
        "a scheme worker": 1,
        "a social worker": 2,
        "a manager": 2,
    }


async def test_strangers_change_nothing_even_by_a_statement_that_reads_nothing(
    crowd: Crowd, power: psycopg.Connection
) -> None:
    guarded = STORY | ASKED | DECIDED | STOPPED | EVENTS | LED | MONEY
    guarded |= {"assignments", "suggestion_events"} | GROUP | PART
    for name in ("nobody", "anonymous", "a provider", "a commissioner", "a service"):
        for table in guarded - DUE[crowd.readers[name].due]:
            for column in _changeable(power, table):
                changed = rows_changed(power, crowd.readers[name], BY_NAME[table], column)
                assert changed == 0, f"{name} changed {table}.{column}"


async def test_neither_application_nor_worker_reads_the_matchers_projection_as_itself(
    crowd: Crowd, power: psycopg.Connection
) -> None:
    views = power.execute(
        "SELECT viewname FROM pg_views WHERE schemaname = 'public' AND viewname LIKE 'match%%'"
    ).fetchall()
    assert len(views) >= 5
    for role in (API, WORKER):
        for (view,) in views:
            with (
                pytest.raises(psycopg.errors.InsufficientPrivilege),
                looking(power, crowd.readers["a task for the person"], role=role),
            ):
                power.execute(sql.SQL("SELECT FROM {}").format(sql.Identifier(view)))


async def test_the_application_cannot_become_the_matcher_the_worker_can(
    apart: Settings,
) -> None:
    with psycopg.connect(apart.worker_url) as connection:
        connection.execute("SET ROLE kith_match")
    with (
        psycopg.connect(apart.database_url) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("SET ROLE kith_match")


# Over HTTP.

NEW_STATEMENT = {"kind": "strength", "words": "mine now"}
BODIES: dict[tuple[str, str], tuple[dict[str, str], Any]] = {
    ("GET", "/v1/people/{person_id}"): ({}, None),
    ("PATCH", "/v1/people/{person_id}"): ({}, {"called": "X"}),
    ("GET", "/v1/people/{person_id}/receipts"): ({}, None),
    ("POST", "/v1/people/{person_id}/come-back-codes"): ({}, None),
    ("POST", "/v1/people/{person_id}/statements"): ({}, NEW_STATEMENT),
    ("PUT", "/v1/people/{person_id}/statements/{statement_id}"): ({}, NEW_STATEMENT),
    ("DELETE", "/v1/people/{person_id}/statements/{statement_id}"): ({}, None),
    ("GET", "/v1/people/{person_id}/offers"): ({}, None),
    ("POST", "/v1/people/{person_id}/offers"): ({}, {"name": "Bread", "words": "mine"}),
    ("GET", "/v1/people/{person_id}/suggestions"): ({}, None),
    ("GET", "/v1/people/{person_id}/unmet-wants"): ({}, None),
    ("POST", "/v1/people/{person_id}/matches"): ({}, None),
    ("POST", "/v1/suggestions/{suggestion_id}/steps"): ({}, {"to": "not_for_me"}),
    ("GET", "/v1/enquiries/{enquiry_id}"): ({}, None),
    ("POST", "/v1/enquiries/{enquiry_id}/answers"): ({}, {"words": "hello"}),
    ("POST", "/v1/enquiries/{enquiry_id}/adult-at-risk"): ({}, {"step": "told"}),
    ("GET", "/v1/sign-offs/{sign_off_id}"): ({}, None),
    ("PUT", "/v1/sign-offs/{sign_off_id}/wish"): ({}, {"words": "hello"}),
    ("POST", "/v1/sign-offs/{sign_off_id}/decision"): ({}, {"outcome": "approved"}),
    ("POST", "/v1/sign-offs/{sign_off_id}/challenges"): ({}, {"words": "hello"}),
    ("POST", "/v1/challenges/{challenge_id}/decision"): (
        {},
        {"outcome": "changed", "words": "hello"},
    ),
    ("POST", "/v1/safety-stops/{stop_id}/answers"): ({}, {"outcome": "lifted", "words": "hello"}),
    ("POST", "/v1/assignments/{assignment_id}/agree"): ({}, None),
    ("DELETE", "/v1/assignments/{assignment_id}"): ({}, None),
    ("GET", "/v1/listings/{listing_id}"): ({}, None),
    ("PUT", "/v1/listings/{listing_id}"): (
        {},
        {
            "area": "{area}",
            "kind": "community",
            "name": "Mine",
            "summary": "Mine now",
            "near": "M32",
        },
    ),
    ("POST", "/v1/listings/{listing_id}/confirm"): ({}, {}),
    ("DELETE", "/v1/listings/{listing_id}"): ({}, None),
    ("DELETE", "/v1/accounts/{account_id}/roles/{area}/{role}"): ({"role": "citizen"}, None),
    ("PUT", "/v1/funders/{funder_id}/rules"): ({}, {"version": 1, "rules": []}),
    ("GET", "/v1/budgets/{budget_id}"): ({}, None),
    ("POST", "/v1/budgets/{budget_id}/money-in"): ({}, {"amount_pence": 1, "reference": "x"}),
    ("PUT", "/v1/budgets/{budget_id}/purposes"): ({}, {"purposes": []}),
    ("POST", "/v1/budgets/{budget_id}/authorities"): (
        {},
        {"account_id": str(uuid4()), "authority": "own_say_so", "may": ["see"]},
    ),
    ("DELETE", "/v1/budgets/{budget_id}/authorities/{authority_id}"): ({}, None),
    ("PUT", "/v1/budgets/{budget_id}/pooling-authority"): ({}, {"given": True}),
    ("POST", "/v1/budgets/{budget_id}/state"): (
        {},
        {"to": "ended", "reason": "death", "notice": "Nobody told me to."},
    ),
    ("GET", "/v1/budgets/{budget_id}/statement"): ({}, None),
    ("GET", "/v1/budgets/{budget_id}/statement.csv"): ({}, None),
}
ON_GROUPS: dict[tuple[str, str], tuple[dict[str, str], Any]] = {
    ("GET", ""): ({}, None),
    ("GET", "/mine"): ({}, None),
    ("GET", "/books"): ({}, None),
    ("GET", "/history"): ({}, None),
    ("POST", "/invitations"): ({}, None),
    ("POST", "/members"): ({}, {"called": "X", "code": "{code}"}),
    ("POST", "/leave"): ({}, {}),
    ("POST", "/offers"): ({}, OFFER | {"code": "{code}"}),
    ("POST", "/messages"): ({}, {"offer_id": str(uuid4()), "words": "hello"}),
    ("PUT", "/choices"): ({}, {"choices": {"leaving": "no_notice"}}),
    ("POST", "/votes"): ({}, {"motion": "shrink", "words": "x", "easy_words": "x"}),
    ("POST", "/votes/{vote_id}/ballots"): ({}, {"choice": "yes"}),
    ("POST", "/steps"): ({}, {"to": "closed"}),
    ("POST", "/pledges"): ({}, {"budget_id": "{budget}", "amount_pence": 1}),
    ("DELETE", "/pledges/{pledge_id}"): ({}, None),
    ("PUT", "/body"): ({}, {"called": "Mine"}),
    ("POST", "/approvals"): ({}, None),
    ("POST", "/stages/{number}/words"): ({"number": "1"}, {"what": "wages"}),
    ("POST", "/members/{number}/exits"): ({"number": "1"}, {"reason": "died", "words": "x"}),
    ("PUT", "/pause"): ({}, {"paused": True}),
}
BODIES |= {(method, "/v1/pools/{pool_id}" + path): how for (method, path), how in ON_GROUPS.items()}
OPEN_TO_ALL = {("GET", "/v1/areas/{slug}"), ("PUT", "/v1/areas/{slug}/settings")}


def _routes_with_ids(app: Litestar) -> set[tuple[str, str]]:
    """Return (method, path) of every route that names something by an id."""
    return {
        (method, route.path_format)
        for route in app.routes
        if "{" in route.path_format and route.path_format.startswith("/v1")
        for method in getattr(route, "methods", ())
        if method not in ("OPTIONS", "HEAD")
    }


async def test_every_route_with_an_id_is_tried_here(app: Litestar) -> None:
    assert _routes_with_ids(app) == set(BODIES) | OPEN_TO_ALL


async def test_over_http_a_stranger_is_told_nothing_on_any_route_with_an_id(
    crowd: Crowd, visitor: httpx2.AsyncClient
) -> None:
    strangers = {
        name: reader
        for name, reader in crowd.readers.items()
        if reader.headers is not None and reader.due in ("nothing", "named")
    }
    assert len(strangers) >= 7
    for (method, template), (extra, body) in BODIES.items():
        for ids in _targets(template, crowd):
            path = template.format_map(
                {name: str(one) for name, one in ids.items()}
                | {"area": crowd.story.area.slug}
                | extra
            )
            sent = _filled(body, crowd)
            for name, reader in strangers.items():
                if name == "a worker, asked" and method == "DELETE" and "assignments" in path:
                    continue  # it is theirs to end
                answer = await visitor.request(method, path, json=sent, headers=reader.headers)
                told = f"{name} {method} {path}: {answer.status_code} {answer.text}"
                if answer.status_code != 409 or answer.json()["rule"] != "story-first":
                    assert answer.status_code in (401, 403, 404), told
                assert WORDS not in answer.text, told


def _filled(body: Any, crowd: Crowd) -> Any:
    """Return a body with what it names of the crowd: the area, the old code, the money."""
    if not isinstance(body, dict):
        return body
    known = {
        "{area}": crowd.story.area.slug,
        "{code}": crowd.old_code,
        "{budget}": str(crowd.ids["budget_id"]),
    }
    return {
        name: known.get(one, one) if isinstance(one, str) else one for name, one in body.items()
    }


def _targets(template: str, crowd: Crowd) -> list[dict[str, Any]]:
    """Return the ids to fill in: for enquiries the question and the concern."""
    if "{enquiry_id}" in template:
        return [{"enquiry_id": crowd.enquiry.id}, {"enquiry_id": crowd.concern.id}]
    return [dict(crowd.ids)]


async def test_after_all_those_tries_the_story_is_as_it_was(
    crowd: Crowd, visitor: httpx2.AsyncClient
) -> None:
    path = f"/v1/people/{crowd.story.id}"
    story = good(await visitor.get(path, headers=crowd.account.headers))
    assert story["called"] == WORDS
    assert [one["words"] for one in story["good_at"]] == [WORDS]
    roles = good(await visitor.get("/v1/me", headers=crowd.account.headers))["roles"]
    assert [one["role"] for one in roles] == ["citizen"]
    concern = f"/v1/enquiries/{crowd.concern.id}"
    refused(await visitor.get(concern, headers=crowd.account.headers), 404)
    receipts = good(await visitor.get(f"{path}/receipts", headers=crowd.account.headers))
    assert "refused" in {one["outcome"] for one in receipts["items"]}


async def test_nothing_of_a_story_is_in_any_public_page(
    crowd: Crowd, visitor: httpx2.AsyncClient
) -> None:
    for answer in (
        await visitor.get("/v1/listings", params={"limit": 50}),
        await visitor.post("/v1/listings/search", json={"words": WORDS}),
        await visitor.get("/v1/areas"),
    ):
        good(answer)
        assert WORDS not in answer.text


# That the test sees.


def _changeable(power: psycopg.Connection, table: str) -> list[str]:
    """Return a column of a table that the application may write over, if there is one."""
    rows = power.execute(
        "SELECT column_name FROM information_schema.column_privileges WHERE grantee = 'kith_app'"
        " AND privilege_type = 'UPDATE' AND table_name = %s ORDER BY column_name LIMIT 1",
        [table],
    ).fetchall()
    return [row[0] for row in rows]


# Where a policy tells rows apart: one of each is put in again.
COPIED_BY = {
    "come_back_codes": "subject_type",
    "suggestions": "state",
    "budgets": "kind",
    "budget_authorities": "authority",
    "budget_events": "actor_id",
    "pool_members": "person_id",
    "pool_member_events": "actor_id",
    "pool_steps": "actor_id",
    "pool_offers": "account_id",
    "pool_messages": "by",
    "pool_pledges": "budget_id",
    "pool_stage_words": "actor_id",
    "pool_approvals": "account_id",
}


def _copies(power: psycopg.Connection, table: str, crowd: Crowd) -> list[dict[str, object]]:
    """Return some of the person's rows under fresh ids, as they could be put in again."""
    one_of_each = sql.SQL(COPIED_BY.get(table, "tableoid"))
    statement = sql.SQL("SELECT DISTINCT ON ({0}) * FROM {1} WHERE {2}").format(
        one_of_each, sql.Identifier(table), about(BY_NAME[table], crowd.ids)
    )
    with power.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(statement).fetchall()
    assert rows
    return [
        {
            name: Jsonb(value) if isinstance(BY_NAME[table].c[name].type, JSONB) else value
            for name, value in row.items()
        }
        | ({"id": uuid4()} if "id" in row else {})
        for row in rows
    ]


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a reader can see, put in and change in one table, as far as one command is about it."""

    power: psycopg.Connection
    table: Table
    command: str
    copies: list[dict[str, object]]
    columns: list[str]

    def of(self, reader: Reader) -> list[int | str]:
        """Try all of it as a reader."""
        able: list[int | str] = []
        if self.command in ("SELECT", "ALL"):
            able.append(all_seen(self.power, reader, self.table))
        if self.command in ("INSERT", "ALL"):
            able += [row_added(self.power, reader, self.table, copy) for copy in self.copies]
        if self.command in ("UPDATE", "ALL"):
            able += [rows_changed(self.power, reader, self.table, one) for one in self.columns]
        return able


def _few_at_a_time(readers: Mapping[str, Reader]) -> Iterator[list[str]]:
    """Return the readers' names in fives, from both ends in turn.

    Opening a policy shows with a stranger, dropping it with the person: seldom are more needed.
    """
    waiting, found = deque(readers), []
    while waiting:
        found.append(waiting.pop())
        waiting.reverse()
    for start in range(0, len(found), 5):
        yield found[start : start + 5]


def _would_be_seen(
    abilities: Abilities,
    readers: Mapping[str, Reader],
    usual: dict[str, list[int | str]],
    what: sql.Composed,
) -> bool:
    """Say whether anybody can do something else once a policy is changed. ``usual`` is filled."""
    for names in _few_at_a_time(readers):
        for name in names:
            if name not in usual:
                usual[name] = abilities.of(readers[name])
        with abilities.power.transaction(force_rollback=True):
            abilities.power.execute(what)
            if any(abilities.of(readers[name]) != usual[name] for name in names):
                return True
    return False


async def test_without_row_level_security_on_any_one_table_this_would_be_seen(
    crowd: Crowd, power: psycopg.Connection
) -> None:
    for table in PERSONAL:
        name = sql.Identifier(table.name)
        power.execute(sql.SQL("ALTER TABLE {} DISABLE ROW LEVEL SECURITY").format(name))
        seen = rows_seen(power, crowd.readers["another citizen"], table, crowd.ids)
        power.execute(sql.SQL("ALTER TABLE {} ENABLE ROW LEVEL SECURITY").format(name))
        assert seen != 0, table.name


async def test_without_any_one_policy_or_with_it_open_to_all_this_would_be_seen(
    crowd: Crowd, power: psycopg.Connection
) -> None:
    policies = power.execute(
        "SELECT tablename, policyname, cmd, qual IS NOT NULL, with_check IS NOT NULL"
        " FROM pg_policies WHERE schemaname = 'public' ORDER BY tablename, policyname"
    ).fetchall()
    assert {row[0] for row in policies} == set(BY_NAME)
    unseen: list[str] = []
    tried: dict[tuple[str, str], tuple[Abilities, dict[str, list[int | str]]]] = {}
    for table, name, command, using, check in policies:
        on = sql.SQL("{} ON {}").format(sql.Identifier(name), sql.Identifier(table))
        opened = sql.SQL(" USING (true)" * using + " WITH CHECK (true)" * check)
        if (table, command) not in tried:
            copies, columns = _copies(power, table, crowd), _changeable(power, table)
            tried[table, command] = Abilities(power, BY_NAME[table], command, copies, columns), {}
        abilities, usual = tried[table, command]
        changes = (
            sql.SQL("DROP POLICY {}").format(on),
            sql.SQL("ALTER POLICY {}{}").format(on, opened),
        )
        unseen += [
            what.as_string(power)
            for what in changes
            if not _would_be_seen(abilities, crowd.readers, usual, what)
        ]
    assert not unseen, "\n".join(unseen)
