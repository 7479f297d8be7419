"""The front door: enquiries, their words, their event times."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE enquiries (
    id uuid CONSTRAINT pk_enquiries PRIMARY KEY,
    area_id uuid NOT NULL CONSTRAINT fk_enquiries_area_id REFERENCES areas,
    kind text NOT NULL CONSTRAINT ck_enquiries_kind CHECK (kind IN
        ('question', 'assessment', 'carers_assessment', 'safeguarding', 'emergency')),
    account_id uuid CONSTRAINT fk_enquiries_account_id REFERENCES accounts,
    asked_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    seen_at timestamptz,
    answered_at timestamptz,
    overdue_at timestamptz,
    CONSTRAINT ck_enquiries_due CHECK (due_at > asked_at)
);
CREATE INDEX ix_enquiries_area_id_due_at ON enquiries (area_id, due_at);
CREATE INDEX ix_enquiries_account_id ON enquiries (account_id);
CREATE INDEX ix_enquiries_waiting ON enquiries (due_at)
    WHERE answered_at IS NULL AND overdue_at IS NULL;
CREATE TABLE enquiry_messages (
    id uuid CONSTRAINT pk_enquiry_messages PRIMARY KEY,
    enquiry_id uuid NOT NULL CONSTRAINT fk_enquiry_messages_enquiry_id REFERENCES enquiries,
    by text NOT NULL CONSTRAINT ck_enquiry_messages_by CHECK (by IN ('asker', 'front_door')),
    account_id uuid CONSTRAINT fk_enquiry_messages_account_id REFERENCES accounts,
    words text NOT NULL CONSTRAINT ck_enquiry_messages_words
        CHECK (length(words) BETWEEN 1 AND 2400 AND words ~ '[^[:space:]]'),
    at timestamptz NOT NULL
);
CREATE INDEX ix_enquiry_messages_enquiry_id_id ON enquiry_messages (enquiry_id, id);
CREATE TABLE enquiry_events (
    id uuid CONSTRAINT pk_enquiry_events PRIMARY KEY,
    enquiry_id uuid NOT NULL CONSTRAINT fk_enquiry_events_enquiry_id REFERENCES enquiries,
    what text NOT NULL CONSTRAINT ck_enquiry_events_what
        CHECK (what IN ('asked', 'seen', 'asked_more', 'answered', 'overdue')),
    at timestamptz NOT NULL,
    actor_kind text NOT NULL,
    actor_id uuid
);
CREATE INDEX ix_enquiry_events_enquiry_id_id ON enquiry_events (enquiry_id, id);
CALL app_make_append_only('enquiry_messages');
CALL app_make_append_only('enquiry_events');
"""

# A worry about safety is never shown to the account it was raised from: others may share that
# account. It opens with its own code, and to the area's social workers and managers. (An UPDATE
# that reads nothing is held by its own policy alone, so that one says the same.)
POLICIES = """
CREATE FUNCTION app_safeguarding_areas() RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT r.area_id FROM account_roles r
    WHERE app_actor_kind() = 'person' AND r.account_id = app_actor_id() AND r.ended_at IS NULL
        AND (r.role = 'manager' OR r.profession = 'social_worker')
$$;
ALTER TABLE enquiries ENABLE ROW LEVEL SECURITY;
CREATE POLICY asked ON enquiries FOR INSERT TO kith_app
    WITH CHECK (app_actor_kind() IN ('anonymous', 'person', 'code_holder')
        AND account_id IS NOT DISTINCT FROM
            CASE app_actor_kind() WHEN 'person' THEN app_actor_id() END);
CREATE POLICY asker ON enquiries FOR SELECT TO kith_app
    USING ((app_actor_kind() = 'code_holder' AND id = app_actor_id())
        OR (account_id = app_actor_id() AND kind <> 'safeguarding'));
CREATE POLICY front_door ON enquiries FOR SELECT TO kith_app
    USING (area_id = ANY (ARRAY(SELECT app_safeguarding_areas())) OR (kind <> 'safeguarding'
        AND area_id = ANY (ARRAY(
            SELECT app_areas_as('professional', 'manager', 'scheme_worker')))));
CREATE POLICY clock ON enquiries FOR UPDATE TO kith_app
    USING (app_actor_kind() = 'task'
        OR (app_actor_kind() = 'code_holder' AND id = app_actor_id())
        OR area_id = ANY (ARRAY(SELECT app_safeguarding_areas()))
        OR (kind <> 'safeguarding' AND (account_id = app_actor_id() OR area_id = ANY (ARRAY(
            SELECT app_areas_as('professional', 'manager', 'scheme_worker'))))));
CREATE POLICY clock_sees ON enquiries FOR SELECT TO kith_app
    USING (app_actor_kind() = 'task');
ALTER TABLE enquiry_messages ENABLE ROW LEVEL SECURITY;
CREATE POLICY both_sides ON enquiry_messages FOR SELECT TO kith_app
    USING (app_actor_kind() <> 'task'
        AND EXISTS (SELECT FROM enquiries e WHERE e.id = enquiry_id));
CREATE POLICY said ON enquiry_messages FOR INSERT TO kith_app
    WITH CHECK (app_actor_kind() <> 'task'
        AND EXISTS (SELECT FROM enquiries e WHERE e.id = enquiry_id));
ALTER TABLE enquiry_events ENABLE ROW LEVEL SECURITY;
CREATE POLICY both_sides ON enquiry_events FOR SELECT TO kith_app
    USING (EXISTS (SELECT FROM enquiries e WHERE e.id = enquiry_id));
CREATE POLICY happened ON enquiry_events FOR INSERT TO kith_app
    WITH CHECK (EXISTS (SELECT FROM enquiries e WHERE e.id = enquiry_id));
GRANT SELECT, INSERT, UPDATE (seen_at, answered_at, overdue_at) ON enquiries TO kith_app;
GRANT SELECT, INSERT ON enquiry_messages, enquiry_events TO kith_app;
"""


def upgrade() -> None:
    """Make the front door."""
    for statements in (TABLES, POLICIES):
        op.execute(statements)


def downgrade() -> None:
    """Take the front door away."""
    op.execute(
        "DROP TABLE enquiry_events, enquiry_messages, enquiries;"
        "DROP FUNCTION app_safeguarding_areas()"
    )
