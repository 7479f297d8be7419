"""Matching: vectors, runs, suggestions, unmet wants, and the matcher's consented view."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

TABLES = """
ALTER TABLE practicalities ADD COLUMN matching_wanted boolean NOT NULL DEFAULT true,
    ADD COLUMN homes_wanted boolean NOT NULL DEFAULT false;
GRANT UPDATE (matching_wanted, homes_wanted) ON practicalities TO kith_app;
CREATE TABLE statement_vectors (
    statement_id uuid NOT NULL CONSTRAINT fk_statement_vectors_statement_id REFERENCES statements,
    model_id text NOT NULL,
    person_id uuid NOT NULL CONSTRAINT fk_statement_vectors_person_id REFERENCES people,
    vector bytea NOT NULL CONSTRAINT ck_statement_vectors_size CHECK (length(vector) = 384),
    CONSTRAINT pk_statement_vectors PRIMARY KEY (statement_id, model_id)
);
CREATE INDEX ix_statement_vectors_person_id ON statement_vectors (person_id);
CREATE TABLE offer_vectors (
    listing_id uuid NOT NULL CONSTRAINT fk_offer_vectors_listing_id REFERENCES listings,
    model_id text NOT NULL,
    words_hash bytea NOT NULL,
    vectors bytea NOT NULL CONSTRAINT ck_offer_vectors_size
        CHECK (length(vectors) > 0 AND length(vectors) % 384 = 0),
    CONSTRAINT pk_offer_vectors PRIMARY KEY (listing_id, model_id)
);
CREATE TABLE match_runs (
    id uuid CONSTRAINT pk_match_runs PRIMARY KEY,
    person_id uuid NOT NULL CONSTRAINT fk_match_runs_person_id REFERENCES people,
    outbox_id uuid NOT NULL CONSTRAINT uq_match_runs_outbox_id UNIQUE,
    model_id text NOT NULL,
    rule_version text NOT NULL,
    snapshot_hash bytea NOT NULL,
    looked_at bigint NOT NULL,
    people_looked_at bigint NOT NULL,
    suggested bigint NOT NULL,
    unmet bigint NOT NULL,
    at timestamptz NOT NULL
);
CREATE INDEX ix_match_runs_person_id_id ON match_runs (person_id, id);
CREATE TABLE suggestions (
    id uuid CONSTRAINT pk_suggestions PRIMARY KEY,
    person_id uuid NOT NULL CONSTRAINT fk_suggestions_person_id REFERENCES people,
    listing_id uuid NOT NULL CONSTRAINT fk_suggestions_listing_id REFERENCES listings,
    run_id uuid NOT NULL CONSTRAINT fk_suggestions_run_id REFERENCES match_runs,
    state text NOT NULL CONSTRAINT ck_suggestions_state CHECK (state IN
        ('suggested', 'seen', 'not_for_me', 'introduction_asked', 'withdrawn')),
    rank smallint NOT NULL,
    points bigint NOT NULL CONSTRAINT ck_suggestions_points CHECK (points BETWEEN 0 AND 1000),
    components jsonb NOT NULL,
    reasons jsonb NOT NULL CONSTRAINT ck_suggestions_reasons
        CHECK (jsonb_path_exists(reasons, '$[*] ? (@.side == "for")')),
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    CONSTRAINT uq_suggestions_person_id_listing_id UNIQUE (person_id, listing_id)
);
CREATE INDEX ix_suggestions_listing_id ON suggestions (listing_id);
CREATE TABLE suggestion_events (
    id uuid CONSTRAINT pk_suggestion_events PRIMARY KEY,
    suggestion_id uuid NOT NULL CONSTRAINT fk_suggestion_events_suggestion_id
        REFERENCES suggestions,
    person_id uuid NOT NULL CONSTRAINT fk_suggestion_events_person_id REFERENCES people,
    state text NOT NULL,
    why text CONSTRAINT ck_suggestion_events_why CHECK (length(why) <= 600),
    at timestamptz NOT NULL,
    actor_kind text NOT NULL,
    actor_id uuid
);
CREATE INDEX ix_suggestion_events_suggestion_id_id ON suggestion_events (suggestion_id, id);
CALL app_make_append_only('suggestion_events');
CREATE TABLE unmet_wants (
    statement_id uuid CONSTRAINT pk_unmet_wants PRIMARY KEY
        CONSTRAINT fk_unmet_wants_statement_id REFERENCES statements,
    person_id uuid NOT NULL CONSTRAINT fk_unmet_wants_person_id REFERENCES people,
    kind text NOT NULL CONSTRAINT ck_unmet_wants_kind CHECK (kind IN ('nothing_like_it',
        'not_confirmed', 'full', 'access', 'avoided', 'too_far', 'not_then', 'costs_too_much')),
    counts jsonb NOT NULL,
    run_id uuid NOT NULL CONSTRAINT fk_unmet_wants_run_id REFERENCES match_runs,
    first_at timestamptz NOT NULL,
    looked_at timestamptz NOT NULL,
    next_look_on date NOT NULL,
    met_at timestamptz
);
CREATE INDEX ix_unmet_wants_next_look_on ON unmet_wants (next_look_on) WHERE met_at IS NULL;
CREATE INDEX ix_unmet_wants_person_id ON unmet_wants (person_id);
"""

# A state may only go forward along these edges; a person's "not for me" is never undone by a run.
STATES = """
CREATE FUNCTION app_suggestion_step() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.person_id <> OLD.person_id OR NEW.listing_id <> OLD.listing_id THEN
        RAISE EXCEPTION 'a suggestion stays with its person and its listing'
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF NEW.state <> OLD.state AND (OLD.state, NEW.state) NOT IN (
        ('suggested', 'seen'), ('suggested', 'not_for_me'), ('suggested', 'introduction_asked'),
        ('seen', 'not_for_me'), ('seen', 'introduction_asked'), ('suggested', 'withdrawn'),
        ('seen', 'withdrawn'), ('withdrawn', 'suggested'), ('introduction_asked', 'not_for_me'))
    THEN
        RAISE EXCEPTION 'a suggestion cannot go from % to %', OLD.state, NEW.state
            USING ERRCODE = 'check_violation', CONSTRAINT = 'suggestion_step';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER suggestion_step BEFORE UPDATE ON suggestions
    FOR EACH ROW EXECUTE FUNCTION app_suggestion_step();
"""

# The matcher's projection: no words, no names, and only of people who want to be matched.
# These views belong to the owner and so see past the policies on purpose; kith_match alone may
# read them.
PROJECTION = """
CREATE VIEW match_people AS
    SELECT p.id, p.area_id, p.easting, p.northing, q.free_times, q.spend_limit_pence,
        q.homes_wanted,
        coalesce(q.travel_limit_metres, (a.settings ->> 'travel_limit_metres')::bigint, 8000)
            AS travel_limit_metres,
        coalesce((a.settings ->> 'look_again_days')::int, 14) AS look_again_days
    FROM people p JOIN practicalities q ON q.person_id = p.id JOIN areas a ON a.id = p.area_id
    WHERE q.matching_wanted;
CREATE VIEW match_statements AS
    SELECT s.id, s.person_id, s.kind, v.model_id, v.vector
    FROM statements s JOIN practicalities q ON q.person_id = s.person_id
    JOIN statement_vectors v ON v.statement_id = s.id
    WHERE s.ended_at IS NULL AND q.matching_wanted
        AND s.kind IN ('strength', 'goal', 'interest');
CREATE VIEW match_requirements AS
    SELECT f.person_id, f.statement_id, f.fact, f.wanted = 'yes' AS wanted
    FROM statement_facts f JOIN statements s ON s.id = f.statement_id
    JOIN practicalities q ON q.person_id = f.person_id
    WHERE s.ended_at IS NULL AND f.wanted <> 'unknown' AND q.matching_wanted;
CREATE VIEW match_offers AS
    SELECT l.id, l.kind, l.person_id, l.area_id, l.easting, l.northing, l.times, l.price_pence,
        l.places_left, l.access, l.confirmed_until, v.model_id, v.vectors
    FROM listings l JOIN offer_vectors v ON v.listing_id = l.id
    WHERE l.closed_at IS NULL AND l.confirmed_until IS NOT NULL
        AND (l.person_id IS NULL OR EXISTS (
        SELECT FROM practicalities q WHERE q.person_id = l.person_id AND q.matching_wanted));
CREATE VIEW match_declined AS
    SELECT person_id, listing_id FROM suggestions WHERE state = 'not_for_me';
CREATE VIEW match_suggested AS
    SELECT person_id, listing_id FROM suggestions WHERE state IN ('suggested', 'seen');
CREATE VIEW match_places AS
    SELECT id, person_id, area_id, easting, northing, confirmed_until FROM listings;
CREATE VIEW match_due AS
    SELECT person_id, next_look_on FROM unmet_wants WHERE met_at IS NULL;
CREATE INDEX ix_listings_matchable ON listings (easting, northing)
    WHERE closed_at IS NULL AND confirmed_until IS NOT NULL;
CREATE INDEX ix_listings_matchable_area_id ON listings (area_id)
    WHERE closed_at IS NULL AND confirmed_until IS NOT NULL;
GRANT SELECT ON match_people, match_statements, match_requirements, match_offers, match_declined,
    match_suggested, match_places, match_due TO kith_match;
COMMENT ON VIEW match_places IS
    'rule: view because a changed listing, closed ones too, concerns whoever lives near';
COMMENT ON VIEW match_due IS
    'rule: view because the matcher must know for whom the day of the next look has come';
COMMENT ON VIEW match_people IS
    'rule: view because the matcher needs places and limits of people who want to be matched';
COMMENT ON VIEW match_statements IS
    'rule: view because the matcher needs vectors, without words, of people who want it';
COMMENT ON VIEW match_requirements IS
    'rule: view because the matcher needs confirmed facts of people who want to be matched';
COMMENT ON VIEW match_offers IS
    'rule: view because the matcher needs offers without their words or owners'' names';
COMMENT ON VIEW match_declined IS
    'rule: view because the matcher must not suggest again what a person declined';
COMMENT ON VIEW match_suggested IS
    'rule: view because a changed listing is looked at again for whom it was suggested to';
"""

POLICIES = """
ALTER TABLE statement_vectors ENABLE ROW LEVEL SECURITY;
CREATE POLICY task ON statement_vectors TO kith_app
    USING (app_actor_kind() = 'task' AND person_id = app_subject_id());
ALTER TABLE offer_vectors ENABLE ROW LEVEL SECURITY;
CREATE POLICY task ON offer_vectors TO kith_app USING (app_actor_kind() = 'task');
ALTER TABLE match_runs ENABLE ROW LEVEL SECURITY;
CREATE POLICY story ON match_runs FOR SELECT TO kith_app
    USING (person_id = ANY (ARRAY(SELECT app_story_people())));
CREATE POLICY task ON match_runs FOR INSERT TO kith_app
    WITH CHECK (app_actor_kind() = 'task' AND person_id = app_subject_id());
ALTER TABLE suggestions ENABLE ROW LEVEL SECURITY;
CREATE POLICY story ON suggestions FOR SELECT TO kith_app
    USING (person_id = ANY (ARRAY(SELECT app_story_people())));
CREATE POLICY task ON suggestions FOR INSERT TO kith_app
    WITH CHECK (app_actor_kind() = 'task' AND person_id = app_subject_id()
        AND state = 'suggested');
CREATE POLICY own ON suggestions FOR UPDATE TO kith_app
    USING (person_id = ANY (ARRAY(SELECT app_own_people())));
ALTER TABLE suggestion_events ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON suggestion_events FOR SELECT TO kith_app
    USING (person_id = ANY (ARRAY(SELECT app_own_people())));
CREATE POLICY happened ON suggestion_events FOR INSERT TO kith_app
    WITH CHECK (person_id = ANY (ARRAY(SELECT app_own_people())));
ALTER TABLE unmet_wants ENABLE ROW LEVEL SECURITY;
CREATE POLICY story ON unmet_wants FOR SELECT TO kith_app
    USING (person_id = ANY (ARRAY(SELECT app_story_people())));
CREATE POLICY task ON unmet_wants TO kith_app
    USING (app_actor_kind() = 'task' AND person_id = app_subject_id());
CREATE FUNCTION app_suggested_offers() RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT s.listing_id FROM suggestions s
    WHERE s.person_id IN (SELECT app_story_people()) AND s.state <> 'withdrawn'
$$;
CREATE POLICY suggested ON listings FOR SELECT TO kith_app
    USING (person_id IS NOT NULL AND id = ANY (ARRAY(SELECT app_suggested_offers())));
GRANT SELECT, INSERT ON statement_vectors, match_runs, suggestion_events TO kith_app;
GRANT SELECT, INSERT, UPDATE (words_hash, vectors) ON offer_vectors TO kith_app;
GRANT SELECT, INSERT, UPDATE (run_id, state, rank, points, components, reasons, changed_at)
    ON suggestions TO kith_app;
GRANT SELECT, INSERT, UPDATE (kind, counts, run_id, looked_at, next_look_on, met_at)
    ON unmet_wants TO kith_app;
"""

DOWN = """
DROP POLICY suggested ON listings;
DROP FUNCTION app_suggested_offers();
DROP VIEW match_due, match_places, match_suggested, match_declined, match_offers,
    match_requirements, match_statements, match_people;
DROP INDEX ix_listings_matchable, ix_listings_matchable_area_id;
DROP TABLE unmet_wants, suggestion_events, suggestions, match_runs, offer_vectors,
    statement_vectors;
DROP FUNCTION app_suggestion_step();
ALTER TABLE practicalities DROP COLUMN matching_wanted, DROP COLUMN homes_wanted;
"""


def upgrade() -> None:
    """Make matching."""
    for statements in (TABLES, STATES, PROJECTION, POLICIES):
        op.execute(statements)


def downgrade() -> None:
    """Take matching away."""
    op.execute(DOWN)
