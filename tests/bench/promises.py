"""A town for measuring promises: groups of 200 people who all have money, all put in by SQL.

Ids can be written by whoever measures: a letter for the kind, then a number. Nothing here is
measured; what is, goes through ``promise_driver`` or over HTTP.
"""

from datetime import UTC, datetime
from uuid import UUID

import psycopg

A_GROUP = 200
GROUPS = 400
A_RUN = 1_600  # promises that one process may make in one turn

_TELL = (
    "SELECT set_config('app.actor_kind', 'service', true), set_config('app.actor_id', '', true),"
    " set_config('app.subject_id', '', true), set_config('app.now', %(now)s, true)"
)
_PEOPLE = """
INSERT INTO areas (id, slug, name, settings, version, created_at)
VALUES ('e0000000-0000-7000-8000-000000000001', 'bench', 'Bench',
    '{"front_door_name": "Door", "calendar": "ENG", "time_zone": "Europe/London"}', 1, %(now)s);
INSERT INTO funders (id, area_id, body, name, version, created_at)
VALUES ('f0000000-0000-7000-8000-000000000001', 'e0000000-0000-7000-8000-000000000001', 'council',
    'Council', 1, %(now)s);
INSERT INTO funder_rules (id, funder_id, code, params, words, who_can_change, version, from_at)
VALUES (gen_random_uuid(), 'f0000000-0000-7000-8000-000000000001', 'most_per_promise',
    '{"pence": 100000}', 'A promise is £1,000 at most.', 'The council.', 1,
    %(now)s::timestamptz - interval '1 day');
INSERT INTO people (id, area_id, called, not_asked_until, version, created_at)
SELECT ('a0000000-0000-7000-8000-' || n)::uuid, 'e0000000-0000-7000-8000-000000000001', 'P',
    %(now)s::timestamptz + interval '7 days', 1, %(now)s
FROM generate_series(100000000001, 100000000000 + %(people)s) AS n;
INSERT INTO sessions (id, token_hash, actor_kind, subject_type, subject_id, created_at,
    last_used_at, expires_at)
SELECT gen_random_uuid(), sha256(convert_to('kith_bench_' || n, 'UTF8')), 'code_holder', 'person',
    ('a0000000-0000-7000-8000-' || n)::uuid, now(), now(), now() + interval '1 day'
FROM generate_series(100000000001, 100000000000 + %(people)s) AS n;
"""
_ACCOUNTS = """
SELECT ledger_open(array_agg((k.digit || '0000000-0000-7000-9000-' || n)::uuid),
    array_agg(k.name), array_agg(k.name || ':promise:' || n),
    array_agg('budget:b0000000-0000-7000-8000-' || n), array_agg(k.name = 'source'))
FROM generate_series(100000000001 + %(from)s, 100000000000 + %(to)s) AS n,
    (VALUES ('source', '1'), ('budget', '2')) AS k (name, digit)
"""
_FUND = """
SELECT ledger_post('bench:promises:' || %(from)s, 'x', 'bench.fund', NULL, NULL, NULL, NULL, NULL,
    array_agg('transfer'::text), array_agg(('10000000-0000-7000-9000-' || n)::uuid),
    array_agg(('20000000-0000-7000-9000-' || n)::uuid), array_agg(1000000000::bigint),
    array_agg(NULL::timestamptz))
FROM generate_series(100000000001 + %(from)s, 100000000000 + %(to)s) AS n
"""
_BUDGETS = """
INSERT INTO budgets (id, person_id, area_id, kind, funder_id, holder_called, account_id,
    source_account_id, source_key, state, starts_on, version, created_at)
SELECT ('b0000000-0000-7000-8000-' || n)::uuid, ('a0000000-0000-7000-8000-' || n)::uuid,
    'e0000000-0000-7000-8000-000000000001', 'direct_payment',
    'f0000000-0000-7000-8000-000000000001', 'Card',
    ('20000000-0000-7000-9000-' || n)::uuid, ('10000000-0000-7000-9000-' || n)::uuid,
    'budget:b0000000-0000-7000-8000-' || n, 'active', '2020-01-01', 1, %(now)s
FROM generate_series(100000000001, 100000000000 + %(people)s) AS n;
INSERT INTO budget_purposes (id, budget_id, code, words, from_at)
SELECT gen_random_uuid(), ('b0000000-0000-7000-8000-' || n)::uuid, 'dance', 'Dance',
    %(now)s::timestamptz - interval '1 day'
FROM generate_series(100000000001, 100000000000 + %(people)s) AS n;
"""
_GROUPS = """
INSERT INTO pools (id, area_id, name, summary, state, version, started_by, created_at)
SELECT ('c0000000-0000-7000-8000-' || g)::uuid, 'e0000000-0000-7000-8000-000000000001', 'G', 'S',
    'gathering', 1, 'a0000000-0000-7000-8000-100000000001', %(now)s
FROM generate_series(100000000001, 100000000000 + %(groups)s) AS g;
INSERT INTO pool_members (id, pool_id, person_id, number, called, state, joined_at)
SELECT gen_random_uuid(),
    ('c0000000-0000-7000-8000-' || 100000000001 + (n - 100000000001) / %(a_group)s)::uuid,
    ('a0000000-0000-7000-8000-' || n)::uuid, (n - 100000000001) %% %(a_group)s + 1, 'P', 'in',
    %(now)s
FROM generate_series(100000000001, 100000000000 + %(people)s) AS n;
INSERT INTO pool_offers (id, pool_id, called, payee_key, words, sessions, stages, lines,
    session_pence, min_people, max_people, split, notice_sessions, checks_seen, registered, at)
SELECT ('d0000000-0000-7000-8000-' || g)::uuid, ('c0000000-0000-7000-8000-' || g)::uuid, 'Kay',
    'payee:' || g, 'Tuesdays', 10, 2, '[{"words": "Hall", "purpose": "dance", "pence": 9850}]',
    9850, 2, 200, 'equal', 2, 'Seen', false, %(now)s
FROM generate_series(100000000001, 100000000000 + %(groups)s) AS g;
INSERT INTO pool_choices (pool_id, topic, version, choice, at)
SELECT ('c0000000-0000-7000-8000-' || g)::uuid, t.topic, 1, t.choice, %(now)s
FROM generate_series(100000000001, 100000000000 + %(groups)s) AS g,
    (VALUES ('illness', 'place_kept'), ('holiday', 'place_kept'), ('leaving', 'notice'),
        ('joining', 'when_room'), ('unhappiness', 'say_first'), ('closing', 'back_to_source'))
        AS t (topic, choice);
INSERT INTO pool_steps (id, pool_id, version, what, state, role, reason, actor_kind, at)
SELECT gen_random_uuid(), ('c0000000-0000-7000-8000-' || g)::uuid, s.version, s.what, s.state,
    'member', 'bench', 'service', %(now)s
FROM generate_series(100000000001, 100000000000 + %(groups)s) AS g, (VALUES
    (1, 'started', 'gathering'), (2, 'offer_chosen', 'costed'),
    (3, 'promises_opened', 'pledging')) AS s (version, what, state);
UPDATE pools SET state = 'costed', version = 2,
    offer_id = replace(id::text, 'c0000000', 'd0000000')::uuid;
UPDATE pools SET state = 'pledging', version = 3,
    promise_by = %(now)s::timestamptz + interval '30 days';
"""


def found(owner_url: str, *, groups: int = GROUPS) -> None:
    """Put in people, their money, and groups in which each of them may promise."""
    values = {
        "now": datetime.now(UTC).isoformat(),
        "people": groups * A_GROUP,
        "groups": groups,
        "a_group": A_GROUP,
    }
    people = groups * A_GROUP
    with psycopg.connect(owner_url) as connection:
        connection.execute(_TELL, values)
        for start in range(0, people, 900):
            some = {"from": start, "to": min(start + 900, people)}
            connection.execute(_ACCOUNTS, some)
            connection.execute(_FUND, some)
        for statements in (_PEOPLE, _BUDGETS, _GROUPS):
            for statement in statements.split(";\n"):
                if statement.strip():
                    connection.execute(statement, values)


def nth(letter: str, number: int) -> UUID:
    """Return the id of the ``number``-th of a kind, from 1."""
    return UUID(f"{letter}0000000-0000-7000-8000-{100_000_000_000 + number}")


def pair(number: int) -> tuple[int, int]:
    """Return (group, person) of the ``number``-th promise, from 0: each person promises once.

    One after the other they come from different groups, as they would in a country.
    """
    person = number * 7_919 % (GROUPS * A_GROUP)
    return person // A_GROUP + 1, person + 1


def token(person: int) -> str:
    """Return the token with which a person asks over HTTP."""
    return f"kith_bench_{100_000_000_000 + person}"
