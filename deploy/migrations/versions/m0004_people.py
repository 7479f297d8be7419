"""People and what they say. The first personal tables: row-level security from here on."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE people (
    id uuid CONSTRAINT pk_people PRIMARY KEY,
    account_id uuid CONSTRAINT fk_people_account_id REFERENCES accounts
        CONSTRAINT uq_people_account_id UNIQUE,
    area_id uuid NOT NULL CONSTRAINT fk_people_area_id REFERENCES areas,
    called text NOT NULL CONSTRAINT ck_people_called CHECK (length(called) BETWEEN 1 AND 80),
    outward text,
    sector text,
    town text,
    easting bigint,
    northing bigint,
    not_asked_until timestamptz,
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT uq_people_id_area_id UNIQUE (id, area_id),
    CONSTRAINT ck_people_point CHECK ((easting IS NULL) = (northing IS NULL)),
    CONSTRAINT ck_people_not_asked_seven_days
        CHECK (not_asked_until <= created_at + interval '7 days')
);
CREATE INDEX ix_people_area_id ON people (area_id);
CREATE TABLE practicalities (
    person_id uuid CONSTRAINT pk_practicalities PRIMARY KEY
        CONSTRAINT fk_practicalities_person_id REFERENCES people,
    free_times bigint CONSTRAINT ck_practicalities_free_times
        CHECK (free_times BETWEEN 0 AND 34359738367),
    travel_limit_metres bigint CONSTRAINT ck_practicalities_travel
        CHECK (travel_limit_metres BETWEEN 100 AND 1000000),
    spend_limit_pence bigint CONSTRAINT ck_practicalities_spend
        CHECK (spend_limit_pence BETWEEN 0 AND 10000000000)
);
CREATE TABLE statements (
    id uuid CONSTRAINT pk_statements PRIMARY KEY,
    person_id uuid NOT NULL CONSTRAINT fk_statements_person_id REFERENCES people,
    kind text NOT NULL CONSTRAINT ck_statements_kind
        CHECK (kind IN ('strength', 'goal', 'interest', 'avoidance', 'access_need')),
    words text NOT NULL CONSTRAINT ck_statements_words
        CHECK (length(words) BETWEEN 1 AND 600 AND words ~ '[^[:space:]]'),
    version bigint NOT NULL,
    replaces_id uuid CONSTRAINT fk_statements_replaces_id REFERENCES statements
        CONSTRAINT uq_statements_replaces_id UNIQUE,
    created_at timestamptz NOT NULL,
    ended_at timestamptz
);
CREATE INDEX ix_statements_person_id_id ON statements (person_id, id);
CREATE TABLE statement_facts (
    statement_id uuid NOT NULL CONSTRAINT fk_statement_facts_statement_id REFERENCES statements,
    fact text NOT NULL,
    person_id uuid NOT NULL CONSTRAINT fk_statement_facts_person_id REFERENCES people,
    wanted text NOT NULL,
    confirmed_at timestamptz NOT NULL,
    CONSTRAINT pk_statement_facts PRIMARY KEY (statement_id, fact),
    CONSTRAINT ck_statement_facts_wanted CHECK (wanted IN ('yes', 'no', 'unknown'))
);
CREATE INDEX ix_statement_facts_person_id ON statement_facts (person_id);
ALTER TABLE assignments ADD CONSTRAINT fk_assignments_person_id_area_id
    FOREIGN KEY (person_id, area_id) REFERENCES people (id, area_id);
"""

# A person's words are never edited: of a statement only its end may be written.
# "Strengths first" is checked when the transaction commits, whatever the order inside it.
GUARDS = """
CREATE FUNCTION app_strengths_first() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    whose uuid := (to_jsonb(NEW) ->> TG_ARGV[0])::uuid;
BEGIN
    IF NOT EXISTS (SELECT FROM statements s WHERE s.person_id = whose AND s.ended_at IS NULL
            AND s.kind IN ('strength', 'goal', 'interest'))
        AND NOT EXISTS (SELECT FROM people p WHERE p.id = whose
            AND p.not_asked_until > app_now())
    THEN
        RAISE EXCEPTION 'a story needs a strength, an interest or a goal'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'strengths_first';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER strengths_first AFTER INSERT ON people
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION app_strengths_first('id');
CREATE CONSTRAINT TRIGGER strengths_first AFTER INSERT OR UPDATE OF ended_at ON statements
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION app_strengths_first('person_id');
CREATE FUNCTION app_words_stand() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF to_jsonb(NEW) - 'ended_at' IS DISTINCT FROM to_jsonb(OLD) - 'ended_at'
        OR (OLD.ended_at IS NOT NULL AND NEW.ended_at IS DISTINCT FROM OLD.ended_at) THEN
        RAISE EXCEPTION 'a statement is never edited; say it anew'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER words_stand BEFORE UPDATE ON statements
    FOR EACH ROW EXECUTE FUNCTION app_words_stand();
"""

# ARRAY(SELECT ...) is worked out once per statement and keeps the index in use. A task reads for
# its person (own) and says, agrees and signs in for nobody (speaking).
VISIBILITY = """
CREATE FUNCTION app_speaking_people() RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT p.id FROM people p
        WHERE app_actor_kind() = 'person' AND p.account_id = app_actor_id()
    UNION ALL SELECT app_actor_id() WHERE app_actor_kind() = 'code_holder'
$$;
CREATE FUNCTION app_own_people() RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT app_speaking_people()
    UNION ALL SELECT app_subject_id()
        WHERE app_actor_kind() = 'task' AND app_subject_id() IS NOT NULL
$$;
CREATE FUNCTION app_story_people() RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT app_own_people()
    UNION ALL SELECT a.person_id FROM assignments a WHERE app_actor_kind() = 'person'
        AND a.worker_account_id = app_actor_id() AND a.ended_at IS NULL
        AND a.agreed_at IS NOT NULL
$$;
"""

POLICIES = """
ALTER TABLE people ENABLE ROW LEVEL SECURITY;
CREATE POLICY story ON people FOR SELECT TO kith_app
    USING (id = ANY (ARRAY(SELECT app_story_people())));
CREATE POLICY started ON people FOR INSERT TO kith_app
    WITH CHECK (app_actor_kind() IN ('anonymous', 'person')
        AND account_id IS NOT DISTINCT FROM app_actor_id());
CREATE POLICY own ON people FOR UPDATE TO kith_app
    USING (id = ANY (ARRAY(SELECT app_speaking_people())));
ALTER TABLE practicalities ENABLE ROW LEVEL SECURITY;
CREATE POLICY story ON practicalities FOR SELECT TO kith_app
    USING (person_id = ANY (ARRAY(SELECT app_story_people())));
CREATE POLICY own ON practicalities TO kith_app
    USING (person_id = ANY (ARRAY(SELECT app_speaking_people())));
ALTER TABLE statements ENABLE ROW LEVEL SECURITY;
CREATE POLICY story ON statements FOR SELECT TO kith_app
    USING (person_id = ANY (ARRAY(SELECT app_story_people())));
CREATE POLICY own ON statements TO kith_app
    USING (person_id = ANY (ARRAY(SELECT app_speaking_people())));
ALTER TABLE statement_facts ENABLE ROW LEVEL SECURITY;
CREATE POLICY story ON statement_facts FOR SELECT TO kith_app
    USING (person_id = ANY (ARRAY(SELECT app_story_people())));
CREATE POLICY own ON statement_facts TO kith_app
    USING (person_id = ANY (ARRAY(SELECT app_speaking_people())));
CREATE POLICY about_me ON read_receipts FOR SELECT TO kith_app
    USING (about_id = ANY (ARRAY(SELECT app_own_people())));
CREATE POLICY about_me ON assignments FOR SELECT TO kith_app
    USING (person_id = ANY (ARRAY(SELECT app_own_people())));
CREATE POLICY the_person ON assignments FOR UPDATE TO kith_app
    USING (person_id = ANY (ARRAY(SELECT app_speaking_people())));
CREATE POLICY the_person_made ON come_back_codes FOR INSERT TO kith_app
    WITH CHECK (subject_type = 'person' AND subject_id = ANY (ARRAY(SELECT app_speaking_people())));
CREATE POLICY the_person_seen ON come_back_codes FOR SELECT TO kith_app
    USING (subject_type = 'person' AND subject_id = ANY (ARRAY(SELECT app_speaking_people())));
CREATE POLICY the_person_ended ON come_back_codes FOR UPDATE TO kith_app
    USING (subject_type = 'person' AND subject_id = ANY (ARRAY(SELECT app_speaking_people())));
CREATE POLICY the_person_seen ON sessions FOR SELECT TO kith_app
    USING (subject_type = 'person' AND subject_id = ANY (ARRAY(SELECT app_speaking_people())));
CREATE POLICY the_person_ended ON sessions FOR UPDATE TO kith_app
    USING (subject_type = 'person' AND subject_id = ANY (ARRAY(SELECT app_speaking_people())));
CREATE FUNCTION app_my_workers() RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT a.worker_account_id FROM assignments a
    WHERE a.person_id IN (SELECT app_own_people())
$$;
CREATE POLICY my_workers ON accounts FOR SELECT TO kith_app
    USING (id = ANY (ARRAY(SELECT app_my_workers())));
GRANT SELECT, INSERT ON people TO kith_app;
GRANT UPDATE (called, outward, sector, town, easting, northing, version, account_id)
    ON people TO kith_app;
GRANT SELECT, INSERT, UPDATE (free_times, travel_limit_metres, spend_limit_pence)
    ON practicalities TO kith_app;
GRANT SELECT, INSERT, UPDATE (ended_at) ON statements TO kith_app;
GRANT SELECT, INSERT ON statement_facts TO kith_app;
"""

DOWN = """
DROP POLICY my_workers ON accounts;
DROP POLICY the_person_ended ON sessions;
DROP POLICY the_person_seen ON sessions;
DROP POLICY the_person_ended ON come_back_codes;
DROP POLICY the_person_seen ON come_back_codes;
DROP POLICY the_person_made ON come_back_codes;
ALTER TABLE assignments DROP CONSTRAINT fk_assignments_person_id_area_id;
DROP POLICY the_person ON assignments;
DROP POLICY about_me ON assignments;
DROP POLICY about_me ON read_receipts;
DROP TABLE statement_facts, statements, practicalities, people CASCADE;
DROP FUNCTION app_my_workers(), app_story_people(), app_own_people(), app_speaking_people(),
    app_words_stand(), app_strengths_first();
"""


def upgrade() -> None:
    """Make people."""
    for statements in (TABLES, GUARDS, VISIBILITY, POLICIES):
        op.execute(statements)


def downgrade() -> None:
    """Take people away."""
    op.execute(DOWN)
