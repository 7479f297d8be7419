"""An invented country of listings at fixed density: more towns, never a larger town.

Each town is a real outward code with 200 listings round it; towns lie at least 14 kilometres
apart, so a search round one never reaches another. Towns come in the order of their distance
from the first, so that a smaller country is the middle of a larger one, row by row the same.
"""

import csv
from collections.abc import Callable
from math import hypot
from pathlib import Path

import psycopg

from api.areas import places

A_TOWN = 200
APART_METRES = 14_000
FIRST = "M32"
COMMON, RARE, SOME = "group", "campanology", "gardening"

_TABLE = Path(places.__file__).with_name("postcode_sectors.csv")

# Ids count up in time as real ones do, and towns come in turn, as news from a country does.
_LISTINGS = """
INSERT INTO listings (id, kind, area_id, source, natural_key, content_hash, name, summary,
    description, provider_name, outward, sector, town, easting, northing, address, website,
    sessions, times, days, price_pence, price_per, places_left, access, confirmed_on,
    confirmed_until, version, created_at, updated_at)
SELECT (lpad(to_hex(1700000000000 + n), 12, '0') || '7000' || '8000'
        || lpad(to_hex(n), 12, '0'))::uuid,
    made.kind, NULL, 'bench', n::text, '', made.name, made.summary, made.description,
    'The ' || made.what || ' people', t.outward, NULL, t.outward,
    t.easting + (3000 * sqrt(r.a) * cos(6.2832 * r.b))::bigint,
    t.northing + (3000 * sqrt(r.a) * sin(6.2832 * r.b))::bigint,
    CASE WHEN made.kind <> 'shared_lives' THEN (1 + n %% 90) || ' High Street' END,
    CASE WHEN made.kind <> 'shared_lives' THEN 'https://example.org/' || n END,
    jsonb_build_array(jsonb_build_object('day', made.day, 'start', '10:00', 'end', '12:00')),
    1::bigint << (n %% 7 * 5 + 1), (1 << (n %% 7))::smallint,
    CASE WHEN n %% 3 = 0 THEN 0 WHEN n %% 5 = 0 THEN NULL ELSE 100 + n %% 900 END,
    'session', n %% 12,
    '{"step_free": "yes", "near_bus": "yes", "dogs": "no"}',
    current_date - 5, CASE WHEN n %% 5 = 1 THEN current_date - 1 ELSE current_date + 25 END,
    1, now(), now()
FROM generate_series(0, %(last)s::int) AS n
JOIN unnest(%(outwards)s::text[], %(eastings)s::bigint[], %(northings)s::bigint[])
    WITH ORDINALITY AS t(outward, easting, northing, at) ON t.at = n / %(a_town)s::int + 1
CROSS JOIN LATERAL (SELECT (hashint8(n) & 65535) / 65536.0 AS a,
    (hashint8(n + 7000000) & 65535) / 65536.0 AS b) r
CROSS JOIN LATERAL (SELECT
    (ARRAY['walking', 'singing', 'knitting', 'football', 'painting', 'cooking', 'chess', 'reading',
        'dancing', 'repairs'])[1 + n %% 10] AS what,
    (ARRAY['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'])[1 + n %% 7] AS day,
    CASE WHEN n %% 10 < 6 THEN 'community' WHEN n %% 10 < 8 THEN 'micro_enterprise'
        WHEN n %% 10 = 8 THEN 'peer_group' ELSE 'shared_lives' END AS kind) w
CROSS JOIN LATERAL (SELECT w.what, w.day, w.kind,
    initcap(w.what) || ' at ' || initcap(pg_temp.syllable(r.a) || pg_temp.syllable(r.b)
        || CASE WHEN n %% 3 = 0 THEN pg_temp.syllable(r.a * r.b) ELSE '' END) || ' Hall' AS name,
    CASE WHEN n %% 10 = 9 THEN 'Come and do some ' ELSE 'A friendly group for ' END || w.what
        || CASE WHEN n %% 20 = 3 THEN ', with gardening when it is dry' ELSE '' END
        || CASE WHEN n %% 1000 = 17 THEN ', and campanology' ELSE '' END AS summary,
    'We meet at ten. Tea, coffee and a biscuit are there, and somebody who says hello at the '
        || 'door. You need bring nothing, and you can just watch the first time. Ask for '
        || (ARRAY['Maureen', 'Dev', 'Aisha', 'Tom', 'Kath', 'Winston', 'Bronwen'])[1 + n %% 7]
        || ' when you come, or ring and somebody will meet you at the stop.' AS description) made
"""
# Names of places, made of syllables: new listings bring new words, ever fewer of them.
_SYLLABLE = """
CREATE FUNCTION pg_temp.syllable(place float8) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT (ARRAY['b', 'br', 'd', 'f', 'gr', 'h', 'k', 'l', 'm', 'n', 'p', 'r', 's', 'st', 't',
        'w'])[1 + (place * 4096)::int % 16] || (ARRAY['a', 'e', 'i', 'o', 'u', 'ea', 'oo', 'ey'])
        [1 + (place * 4096)::int / 16 % 8] || (ARRAY['', 'l', 'm', 'n', 'r', 's', 't', 'ck'])
        [1 + (place * 4096)::int / 128 % 8] $$
"""
_WORDS = """
INSERT INTO listing_words (word) SELECT word FROM ts_stat(
    'SELECT to_tsvector(''simple'', name || '' '' || summary) FROM listing_public')
WHERE word ~ '^[[:alpha:]]{4,40}$'
"""
_PUBLIC = """
INSERT INTO listing_public (listing_id, kind, name, summary, description, provider_name, town,
    near, easting, northing, address, website, sessions, days, price_pence, price_per,
    places_left, access, confirmed_on, confirmed_until)
SELECT id, kind, name, summary, CASE WHEN kind <> 'shared_lives' THEN description END,
    CASE WHEN kind <> 'shared_lives' THEN provider_name END, town, outward, easting, northing,
    address, website, sessions, days, price_pence, price_per, places_left, access, confirmed_on,
    confirmed_until FROM listings
"""


def towns(count: int) -> list[tuple[str, int, int]]:
    """Return (outward code, easting, northing) of so many towns, the nearest to the first first."""
    codes = {place.outward: place.point for place in map(places.locate, _outward_codes())}
    points = {code: point for code, point in codes.items() if point is not None}
    start = points[FIRST]
    taken: list[tuple[str, int, int]] = []
    for code in sorted(
        points, key=lambda one: hypot(points[one][0] - start[0], points[one][1] - start[1])
    ):
        east, north = points[code]
        if all(hypot(east - e, north - n) >= APART_METRES for _, e, n in taken):
            taken.append((code, east, north))
            if len(taken) == count:
                return taken
    raise ValueError(f"there are only {len(taken)} towns so far apart")


def fill(connection: psycopg.Connection, *, listings: int, say: Callable[[str], None]) -> None:
    """Fill an empty database with so many listings, as its owner, and gather statistics."""
    laid = towns(listings // A_TOWN)
    values = {
        "outwards": [town[0] for town in laid],
        "eastings": [town[1] for town in laid],
        "northings": [town[2] for town in laid],
        "a_town": A_TOWN,
        "last": listings - 1,
    }
    say(f"{listings:,} listings: filling")
    connection.execute(_SYLLABLE)
    connection.execute(_LISTINGS, values)
    connection.execute(_PUBLIC)
    connection.execute(_WORDS)
    say(f"{listings:,} listings: gathering statistics")
    connection.execute("VACUUM (ANALYZE) listings, listing_public, listing_words")


def _outward_codes() -> list[str]:
    with _TABLE.open(newline="") as file:
        return sorted({row["outward"] for row in csv.DictReader(file)})
