"""The core: who acts, outbox, idempotency, and records that only grow.

Roles kith_app and kith_match exist before this runs (deploy.migrate.prepare_roles).
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

EXTENSIONS = """
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE EXTENSION IF NOT EXISTS btree_gin;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO kith_app, kith_match;
"""

# After a commit the settings are '' and not NULL, on a pooled connection: hence nullif.
CONTEXT = """
CREATE FUNCTION app_actor_kind() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT nullif(current_setting('app.actor_kind', true), '') $$;
CREATE FUNCTION app_actor_id() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT nullif(current_setting('app.actor_id', true), '')::uuid $$;
CREATE FUNCTION app_subject_id() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT nullif(current_setting('app.subject_id', true), '')::uuid $$;
CREATE FUNCTION app_now() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT nullif(current_setting('app.now', true), '')::timestamptz $$;
CREATE FUNCTION app_only_grows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% only grows: % is refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation';
END $$;
CREATE PROCEDURE app_make_append_only(target regclass) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TRIGGER only_grows_row BEFORE UPDATE OR DELETE ON %s
        FOR EACH ROW EXECUTE FUNCTION app_only_grows()', target);
    EXECUTE format('CREATE TRIGGER only_grows_table BEFORE TRUNCATE ON %s
        FOR EACH STATEMENT EXECUTE FUNCTION app_only_grows()', target);
END $$;
"""

WORK = """
CREATE TABLE installation (
    id smallint CONSTRAINT pk_installation PRIMARY KEY,
    purpose text NOT NULL CONSTRAINT ck_installation_purpose
        CHECK (purpose IN ('live', 'demo', 'test')),
    made_at timestamptz NOT NULL,
    CONSTRAINT ck_installation_one_row CHECK (id = 1)
);
CREATE TABLE outbox (
    id uuid CONSTRAINT pk_outbox PRIMARY KEY,
    task text NOT NULL,
    payload jsonb NOT NULL,
    coalesce_key text,
    correlation_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    not_before timestamptz NOT NULL,
    lease_until timestamptz,
    sent_at timestamptz,
    attempts bigint NOT NULL DEFAULT 0,
    done_at timestamptz,
    dead_at timestamptz,
    last_error text
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
CREATE UNIQUE INDEX uq_outbox_pending_coalesce_key ON outbox (coalesce_key)
    WHERE coalesce_key IS NOT NULL AND lease_until IS NULL AND sent_at IS NULL
        AND done_at IS NULL AND dead_at IS NULL;
CREATE INDEX ix_outbox_due ON outbox (not_before, id) WHERE done_at IS NULL AND dead_at IS NULL;
CREATE INDEX ix_outbox_done_at ON outbox (done_at) WHERE done_at IS NOT NULL;
CREATE TABLE schedule_ticks (
    name text NOT NULL,
    period_start timestamptz NOT NULL,
    outbox_id uuid NOT NULL,
    CONSTRAINT pk_schedule_ticks PRIMARY KEY (name, period_start)
);
GRANT SELECT ON installation TO kith_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON outbox TO kith_app;
GRANT SELECT, INSERT, DELETE ON schedule_ticks TO kith_app;
"""

RECORDS = """
CREATE TABLE idempotency_keys (
    actor_key text NOT NULL,
    key text NOT NULL,
    request_hash bytea NOT NULL,
    status smallint NOT NULL,
    resource text,
    body bytea,
    made_at timestamptz NOT NULL,
    CONSTRAINT pk_idempotency_keys PRIMARY KEY (actor_key, key)
);
CREATE INDEX ix_idempotency_keys_made_at ON idempotency_keys (made_at) WHERE body IS NOT NULL;
CREATE TABLE audit_entries (
    id uuid CONSTRAINT pk_audit_entries PRIMARY KEY,
    at timestamptz NOT NULL,
    actor_kind text NOT NULL,
    actor_id uuid,
    action text NOT NULL,
    subject_type text NOT NULL,
    subject_id uuid NOT NULL,
    version bigint,
    why text,
    correlation_id uuid
);
CREATE INDEX ix_audit_entries_subject_id_id ON audit_entries (subject_id, id);
CREATE TABLE read_receipts (
    id uuid CONSTRAINT pk_read_receipts PRIMARY KEY,
    at timestamptz NOT NULL,
    about_id uuid NOT NULL,
    actor_kind text NOT NULL,
    actor_id uuid,
    what text NOT NULL,
    object_id uuid,
    version bigint,
    why text,
    outcome text NOT NULL,
    correlation_id uuid,
    CONSTRAINT ck_read_receipts_outcome CHECK (outcome IN ('read', 'refused'))
);
CREATE INDEX ix_read_receipts_about_id_id ON read_receipts (about_id, id);
CREATE TABLE refusals (
    id uuid CONSTRAINT pk_refusals PRIMARY KEY,
    at timestamptz NOT NULL,
    rule text NOT NULL,
    actor_kind text NOT NULL,
    correlation_id uuid
);
CREATE INDEX ix_refusals_rule_at ON refusals (rule, at);
CALL app_make_append_only('audit_entries');
CALL app_make_append_only('read_receipts');
CALL app_make_append_only('refusals');
"""

# The row of an Idempotency-Key opens to the request that holds the key, and to nobody else: the
# actor would not do, for all who are anonymous are one, and an actor may change on the way (whoever
# starts a story becomes the holder of its code). The key itself is for ever; a body older than 90
# days is emptied by the retention task.
POLICIES = """
ALTER TABLE idempotency_keys ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON idempotency_keys TO kith_app
    USING (actor_key || ' ' || key = current_setting('app.idempotency_key', true));
CREATE POLICY retention ON idempotency_keys FOR UPDATE TO kith_app
    USING (app_actor_kind() = 'task' AND made_at < app_now() - interval '90 days')
    WITH CHECK (body IS NULL);
CREATE POLICY retention_sees ON idempotency_keys FOR SELECT TO kith_app
    USING (app_actor_kind() = 'task' AND made_at < app_now() - interval '90 days');
GRANT SELECT, INSERT, UPDATE (body) ON idempotency_keys TO kith_app;
ALTER TABLE audit_entries ENABLE ROW LEVEL SECURITY;
CREATE POLICY writes ON audit_entries FOR INSERT TO kith_app
    WITH CHECK (actor_kind = app_actor_kind() AND actor_id IS NOT DISTINCT FROM app_actor_id());
CREATE POLICY own ON audit_entries FOR SELECT TO kith_app
    USING (actor_id IS NOT NULL AND actor_id = app_actor_id());
GRANT SELECT, INSERT ON audit_entries TO kith_app;
ALTER TABLE read_receipts ENABLE ROW LEVEL SECURITY;
CREATE POLICY writes ON read_receipts FOR INSERT TO kith_app
    WITH CHECK (actor_kind = app_actor_kind() AND actor_id IS NOT DISTINCT FROM app_actor_id());
GRANT SELECT, INSERT ON read_receipts TO kith_app;
GRANT SELECT, INSERT ON refusals TO kith_app;
"""

DOWN = """
DROP TABLE refusals, read_receipts, audit_entries, idempotency_keys, schedule_ticks, outbox,
    installation;
DROP PROCEDURE app_make_append_only(regclass);
DROP FUNCTION app_only_grows(), app_now(), app_subject_id(), app_actor_id(), app_actor_kind();
"""


def upgrade() -> None:
    """Make the core."""
    for statements in (EXTENSIONS, CONTEXT, WORK, RECORDS, POLICIES):
        op.execute(statements)


def downgrade() -> None:
    """Take the core away. The extensions stay: others may use them."""
    op.execute(DOWN)
