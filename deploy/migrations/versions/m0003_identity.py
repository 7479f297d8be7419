"""Accounts, roles, sessions, codes, and who works with whom."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE accounts (
    id uuid CONSTRAINT pk_accounts PRIMARY KEY,
    called text NOT NULL CONSTRAINT ck_accounts_called CHECK (length(called) BETWEEN 1 AND 80),
    demo_key text CONSTRAINT uq_accounts_demo_key UNIQUE,
    created_at timestamptz NOT NULL,
    closed_at timestamptz
);
CREATE TABLE account_roles (
    id uuid CONSTRAINT pk_account_roles PRIMARY KEY,
    account_id uuid NOT NULL CONSTRAINT fk_account_roles_account_id REFERENCES accounts,
    area_id uuid NOT NULL CONSTRAINT fk_account_roles_area_id REFERENCES areas,
    role text NOT NULL CONSTRAINT ck_account_roles_role CHECK (role IN ('citizen', 'supporter',
        'professional', 'manager', 'scheme_worker', 'provider', 'commissioner', 'finance',
        'evaluator', 'advocate', 'area_admin')),
    profession text CONSTRAINT ck_account_roles_profession
        CHECK ((role = 'professional') = (profession IS NOT NULL)),
    granted_at timestamptz NOT NULL,
    granted_by uuid,
    ended_at timestamptz
);
CREATE UNIQUE INDEX uq_account_roles_held ON account_roles (account_id, area_id, role)
    WHERE ended_at IS NULL;
CREATE TABLE sessions (
    id uuid CONSTRAINT pk_sessions PRIMARY KEY,
    token_hash bytea NOT NULL CONSTRAINT uq_sessions_token_hash UNIQUE,
    actor_kind text NOT NULL CONSTRAINT ck_sessions_actor_kind
        CHECK (actor_kind IN ('person', 'code_holder')),
    account_id uuid CONSTRAINT fk_sessions_account_id REFERENCES accounts,
    subject_type text,
    subject_id uuid,
    created_at timestamptz NOT NULL,
    last_used_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz,
    CONSTRAINT ck_sessions_whose CHECK (CASE actor_kind
        WHEN 'person' THEN account_id IS NOT NULL AND subject_id IS NULL
        ELSE account_id IS NULL AND subject_id IS NOT NULL AND subject_type IS NOT NULL END)
);
CREATE INDEX ix_sessions_account_id ON sessions (account_id);
CREATE INDEX ix_sessions_subject_id ON sessions (subject_id);
CREATE TABLE come_back_codes (
    id uuid CONSTRAINT pk_come_back_codes PRIMARY KEY,
    code_hash bytea NOT NULL CONSTRAINT uq_come_back_codes_code_hash UNIQUE,
    subject_type text NOT NULL CONSTRAINT ck_come_back_codes_subject_type
        CHECK (subject_type IN ('account', 'person', 'enquiry')),
    subject_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    last_used_at timestamptz,
    revoked_at timestamptz,
    CONSTRAINT ck_come_back_codes_ends CHECK (expires_at > created_at)
);
CREATE INDEX ix_come_back_codes_subject_id ON come_back_codes (subject_id);
CREATE TABLE assignments (
    id uuid CONSTRAINT pk_assignments PRIMARY KEY,
    worker_account_id uuid NOT NULL CONSTRAINT fk_assignments_worker_account_id
        REFERENCES accounts,
    person_id uuid NOT NULL,
    area_id uuid NOT NULL CONSTRAINT fk_assignments_area_id REFERENCES areas,
    made_by uuid,
    started_at timestamptz NOT NULL,
    agreed_at timestamptz,
    ended_at timestamptz
);
CREATE UNIQUE INDEX uq_assignments_running ON assignments (worker_account_id, person_id)
    WHERE ended_at IS NULL;
CREATE INDEX ix_assignments_person_id ON assignments (person_id);
"""

# Looked up before there is an actor: these two see past the policies, one row at a time, and
# only by the hash of a secret that nobody can guess.
SIGN_IN = """
CREATE FUNCTION app_session(wanted bytea, at timestamptz, idle interval)
RETURNS TABLE (session_id uuid, actor_kind text, account_id uuid, subject_type text,
    subject_id uuid, roles jsonb)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE live sessions;
BEGIN
    SELECT * INTO live FROM sessions s WHERE s.token_hash = wanted AND s.revoked_at IS NULL
        AND s.expires_at > at AND s.last_used_at > at - idle
        AND (s.account_id IS NULL OR EXISTS (
            SELECT FROM accounts c WHERE c.id = s.account_id AND c.closed_at IS NULL));
    IF live.id IS NULL THEN RETURN; END IF;
    IF live.last_used_at < at - interval '5 minutes' THEN
        UPDATE sessions s SET last_used_at = at WHERE s.id = live.id AND s.revoked_at IS NULL;
    END IF;
    RETURN QUERY SELECT live.id, live.actor_kind, live.account_id, live.subject_type,
        live.subject_id, coalesce((
            SELECT jsonb_agg(jsonb_build_array(r.area_id, a.slug, r.role) ORDER BY a.slug, r.role)
            FROM account_roles r JOIN areas a ON a.id = r.area_id
            WHERE r.account_id = live.account_id AND r.ended_at IS NULL), '[]'::jsonb);
END $$;
CREATE FUNCTION app_redeem_code(wanted bytea, at timestamptz)
RETURNS TABLE (subject_type text, subject_id uuid)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE come_back_codes c SET last_used_at = at,
        revoked_at = CASE WHEN c.subject_type = 'account' THEN at END
    WHERE c.code_hash = wanted AND c.revoked_at IS NULL AND c.expires_at > at
        AND (c.subject_type <> 'account' OR EXISTS (
            SELECT FROM accounts a WHERE a.id = c.subject_id AND a.closed_at IS NULL))
    RETURNING c.subject_type, c.subject_id
$$;
CREATE FUNCTION app_demo_account(wanted text) RETURNS uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT a.id FROM accounts a WHERE a.demo_key = wanted AND a.closed_at IS NULL
        AND EXISTS (SELECT FROM installation WHERE purpose = 'demo')
$$;
CREATE FUNCTION app_areas_as(VARIADIC wanted text[]) RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT r.area_id FROM account_roles r
    WHERE app_actor_kind() = 'person' AND r.account_id = app_actor_id()
        AND r.ended_at IS NULL AND r.role = ANY (wanted)
$$;
CREATE FUNCTION app_accounts_administered() RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT r.account_id FROM account_roles r
    WHERE r.area_id IN (SELECT app_areas_as('area_admin', 'manager'))
$$;
"""

POLICIES = """
ALTER TABLE accounts ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON accounts FOR SELECT TO kith_app
    USING (id = app_actor_id() OR app_actor_kind() = 'service'
        OR id = ANY (ARRAY(SELECT app_accounts_administered())));
CREATE POLICY made ON accounts FOR INSERT TO kith_app
    WITH CHECK (app_actor_kind() = 'service'
        OR EXISTS (SELECT FROM app_areas_as('area_admin')));
ALTER TABLE account_roles ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON account_roles FOR SELECT TO kith_app
    USING (account_id = app_actor_id() OR app_actor_kind() = 'service'
        OR area_id = ANY (ARRAY(SELECT app_areas_as('area_admin', 'manager'))));
CREATE POLICY given ON account_roles FOR INSERT TO kith_app
    WITH CHECK (app_actor_kind() = 'service'
        OR area_id = ANY (ARRAY(SELECT app_areas_as('area_admin'))));
CREATE POLICY ended ON account_roles FOR UPDATE TO kith_app
    USING (app_actor_kind() = 'service'
        OR area_id = ANY (ARRAY(SELECT app_areas_as('area_admin'))));
ALTER TABLE sessions ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON sessions FOR SELECT TO kith_app
    USING (account_id = app_actor_id() OR subject_id = app_actor_id());
CREATE POLICY made ON sessions FOR INSERT TO kith_app WITH CHECK (app_actor_kind() IS NOT NULL);
CREATE POLICY ended ON sessions FOR UPDATE TO kith_app
    USING (account_id = app_actor_id() OR subject_id = app_actor_id());
ALTER TABLE come_back_codes ENABLE ROW LEVEL SECURITY;
CREATE POLICY made ON come_back_codes FOR INSERT TO kith_app
    WITH CHECK (CASE subject_type
        WHEN 'account' THEN app_actor_kind() = 'service'
            OR subject_id = ANY (ARRAY(SELECT app_accounts_administered()))
        ELSE app_actor_kind() = 'code_holder' AND subject_id = app_actor_id() END);
CREATE POLICY seen ON come_back_codes FOR SELECT TO kith_app
    USING (subject_id = app_actor_id());
CREATE POLICY ended ON come_back_codes FOR UPDATE TO kith_app
    USING (subject_id = app_actor_id());
ALTER TABLE assignments ENABLE ROW LEVEL SECURITY;
CREATE POLICY made ON assignments FOR INSERT TO kith_app
    WITH CHECK (agreed_at IS NULL AND (app_actor_kind() = 'service'
        OR area_id = ANY (ARRAY(SELECT app_areas_as('area_admin', 'manager')))));
CREATE POLICY seen ON assignments FOR SELECT TO kith_app
    USING (worker_account_id = app_actor_id() OR app_actor_kind() = 'service'
        OR area_id = ANY (ARRAY(SELECT app_areas_as('area_admin', 'manager'))));
CREATE POLICY ended ON assignments FOR UPDATE TO kith_app
    USING (worker_account_id = app_actor_id()
        OR area_id = ANY (ARRAY(SELECT app_areas_as('area_admin', 'manager'))))
    WITH CHECK (agreed_at IS NULL OR ended_at IS NOT NULL);
GRANT SELECT, INSERT ON accounts TO kith_app;
GRANT SELECT, INSERT, UPDATE (ended_at) ON account_roles TO kith_app;
GRANT INSERT, UPDATE (revoked_at) ON sessions TO kith_app;
GRANT SELECT (id, actor_kind, account_id, subject_type, subject_id, created_at, last_used_at,
    expires_at, revoked_at) ON sessions TO kith_app;
GRANT INSERT, UPDATE (revoked_at) ON come_back_codes TO kith_app;
GRANT SELECT (id, subject_type, subject_id, created_at, expires_at, last_used_at, revoked_at)
    ON come_back_codes TO kith_app;
GRANT SELECT, INSERT, UPDATE (ended_at, agreed_at) ON assignments TO kith_app;
"""

DOWN = """
DROP TABLE assignments, come_back_codes, sessions, account_roles, accounts CASCADE;
DROP FUNCTION app_session(bytea, timestamptz, interval), app_redeem_code(bytea, timestamptz),
    app_demo_account(text), app_accounts_administered(), app_areas_as(text[]);
"""


def upgrade() -> None:
    """Make identity."""
    for statements in (TABLES, SIGN_IN, POLICIES):
        op.execute(statements)


def downgrade() -> None:
    """Take identity away."""
    op.execute(DOWN)
