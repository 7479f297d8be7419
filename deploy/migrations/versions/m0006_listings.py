"""Listings, people's own offers, and the public projection."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

LISTINGS = """
CREATE TABLE listings (
    id uuid CONSTRAINT pk_listings PRIMARY KEY,
    kind text NOT NULL CONSTRAINT ck_listings_kind CHECK (kind IN
        ('micro_enterprise', 'shared_lives', 'peer_group', 'community', 'own_offer')),
    area_id uuid CONSTRAINT fk_listings_area_id REFERENCES areas,
    owner_account_id uuid CONSTRAINT fk_listings_owner_account_id REFERENCES accounts,
    person_id uuid CONSTRAINT fk_listings_person_id REFERENCES people,
    source text NOT NULL,
    natural_key text NOT NULL,
    content_hash text NOT NULL,
    name text NOT NULL CONSTRAINT ck_listings_name CHECK (name ~ '[^[:space:]]'),
    summary text NOT NULL,
    description text,
    provider_name text,
    note text,
    outward text,
    sector text,
    town text,
    easting bigint,
    northing bigint,
    postcode text,
    address text,
    website text,
    sessions jsonb NOT NULL,
    times bigint CONSTRAINT ck_listings_times CHECK (times BETWEEN 0 AND 34359738367),
    days smallint CONSTRAINT ck_listings_days CHECK (days BETWEEN 0 AND 127),
    price_pence bigint CONSTRAINT ck_listings_price CHECK (price_pence BETWEEN 0 AND 10000000000),
    price_per text,
    people_working bigint,
    places_total bigint,
    places_left bigint,
    access jsonb NOT NULL,
    confirmed_on date,
    confirmed_until date,
    closed_at timestamptz,
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT uq_listings_id_kind UNIQUE (id, kind),
    CONSTRAINT uq_listings_source_natural_key UNIQUE (source, natural_key),
    CONSTRAINT ck_listings_whose CHECK ((kind = 'own_offer') = (person_id IS NOT NULL)),
    CONSTRAINT ck_listings_area CHECK (area_id IS NOT NULL OR source <> 'kith'),
    CONSTRAINT ck_listings_point CHECK ((easting IS NULL) = (northing IS NULL)),
    CONSTRAINT ck_listings_places CHECK (places_left >= 0
        AND (places_total IS NULL OR places_left <= places_total)),
    CONSTRAINT ck_listings_no_home_address CHECK (kind NOT IN ('shared_lives', 'own_offer')
        OR (address IS NULL AND postcode IS NULL AND website IS NULL)),
    CONSTRAINT ck_listings_confirmed CHECK (confirmed_until >= confirmed_on)
);
CREATE INDEX ix_listings_person_id ON listings (person_id) WHERE person_id IS NOT NULL;
CREATE INDEX ix_listings_owner_account_id ON listings (owner_account_id)
    WHERE owner_account_id IS NOT NULL;
"""

# kind is part of the foreign key, so an own offer cannot be published under another name.
PUBLIC = """
CREATE TABLE listing_public (
    listing_id uuid CONSTRAINT pk_listing_public PRIMARY KEY,
    kind text NOT NULL CONSTRAINT ck_listing_public_never_own_offers CHECK (kind <> 'own_offer'),
    area text,
    name text NOT NULL,
    summary text NOT NULL,
    description text,
    provider_name text,
    town text,
    near text,
    easting bigint,
    northing bigint,
    address text,
    website text,
    sessions jsonb NOT NULL,
    days smallint,
    price_pence bigint,
    price_per text,
    places_left bigint,
    access jsonb NOT NULL,
    confirmed_on date,
    confirmed_until date,
    tsv tsvector GENERATED ALWAYS AS (setweight(to_tsvector('english'::regconfig, name), 'A')
        || setweight(to_tsvector('english'::regconfig, summary), 'B')
        || setweight(to_tsvector('english'::regconfig,
            coalesce(description, '') || ' ' || coalesce(provider_name, '')), 'C')) STORED,
    CONSTRAINT ck_listing_public_home CHECK (kind <> 'shared_lives' OR (address IS NULL
        AND website IS NULL AND description IS NULL AND provider_name IS NULL)),
    CONSTRAINT fk_listing_public_listing_id_kind FOREIGN KEY (listing_id, kind)
        REFERENCES listings (id, kind) ON DELETE CASCADE
);
CREATE INDEX ix_listing_public_tsv ON listing_public USING gin (tsv);
CREATE INDEX ix_listing_public_place ON listing_public USING gist (point(easting, northing));
GRANT SELECT, INSERT, DELETE ON listing_public TO kith_app;
GRANT UPDATE (area, name, summary, description, provider_name, town, near, easting, northing,
    address, website, sessions, days, price_pence, price_per, places_left, access, confirmed_on,
    confirmed_until) ON listing_public TO kith_app;
"""

# How listings spell. Not unique on purpose: an import of a minute must not hold up whoever
# publishes the same new word meanwhile.
WORDS = """
CREATE TABLE listing_words (
    id uuid DEFAULT uuidv7() CONSTRAINT pk_listing_words PRIMARY KEY,
    word text NOT NULL
);
CREATE INDEX ix_listing_words_word ON listing_words (word);
CREATE INDEX ix_listing_words_spelling ON listing_words USING gin (word gin_trgm_ops);
GRANT SELECT, INSERT ON listing_words TO kith_app;
"""

POLICIES = """
ALTER TABLE listings ENABLE ROW LEVEL SECURITY;
CREATE POLICY not_a_persons ON listings FOR SELECT TO kith_app
    USING (person_id IS NULL AND app_actor_kind() IS NOT NULL);
CREATE POLICY a_persons ON listings FOR SELECT TO kith_app
    USING (person_id = ANY (ARRAY(SELECT app_story_people())));
CREATE POLICY made ON listings FOR INSERT TO kith_app
    WITH CHECK (CASE WHEN person_id IS NOT NULL
        THEN person_id = ANY (ARRAY(SELECT app_own_people())) AND source = 'kith'
        ELSE owner_account_id = app_actor_id()
            OR (app_actor_kind() = 'service' AND source <> 'kith') END);
CREATE POLICY changed ON listings FOR UPDATE TO kith_app
    USING (CASE WHEN person_id IS NOT NULL
        THEN person_id = ANY (ARRAY(SELECT app_own_people()))
        ELSE owner_account_id = app_actor_id()
            OR (app_actor_kind() = 'service' AND source <> 'kith')
            OR area_id = ANY (ARRAY(SELECT app_areas_as('area_admin'))) END);
GRANT SELECT, INSERT ON listings TO kith_app;
GRANT UPDATE (content_hash, name, summary, description, provider_name, note, outward, sector, town,
    easting, northing, postcode, address, website, sessions, times, days, price_pence, price_per,
    people_working, places_total, places_left, access, confirmed_on, confirmed_until, closed_at,
    version, updated_at, area_id) ON listings TO kith_app;
"""


def upgrade() -> None:
    """Make listings."""
    for statements in (LISTINGS, PUBLIC, WORDS, POLICIES):
        op.execute(statements)


def downgrade() -> None:
    """Take listings away."""
    op.execute("DROP TABLE listing_words, listing_public, listings")
