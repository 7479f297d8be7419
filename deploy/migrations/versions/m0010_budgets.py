"""Budgets: whose money it is, who gives it, what it is for, who may act, what was paid.

The money itself is in the ledger; a budget names its accounts there.
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

FUNDERS = """
CREATE TABLE funders (
    id uuid CONSTRAINT pk_funders PRIMARY KEY,
    area_id uuid NOT NULL CONSTRAINT fk_funders_area_id REFERENCES areas,
    body text NOT NULL CONSTRAINT ck_funders_body CHECK (body IN ('council', 'nhs', 'charity')),
    name text NOT NULL CONSTRAINT ck_funders_name CHECK (length(name) BETWEEN 1 AND 120),
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT uq_funders_area_id_name UNIQUE (area_id, name),
    CONSTRAINT uq_funders_id_area_id UNIQUE (id, area_id)
);
CREATE TABLE funder_rules (
    id uuid CONSTRAINT pk_funder_rules PRIMARY KEY,
    funder_id uuid NOT NULL CONSTRAINT fk_funder_rules_funder_id REFERENCES funders,
    code text NOT NULL CONSTRAINT ck_funder_rules_code CHECK (code ~ '^[a-z_]{1,40}$'),
    params jsonb NOT NULL,
    words text NOT NULL CONSTRAINT ck_funder_rules_words CHECK (length(words) BETWEEN 1 AND 600),
    who_can_change text NOT NULL CONSTRAINT ck_funder_rules_who_can_change
        CHECK (length(who_can_change) BETWEEN 1 AND 300),
    version bigint NOT NULL,
    from_at timestamptz NOT NULL,
    ended_at timestamptz
);
CREATE UNIQUE INDEX uq_funder_rules_standing ON funder_rules (funder_id, code)
    WHERE ended_at IS NULL;
GRANT SELECT, INSERT, UPDATE (version) ON funders TO kith_app;
GRANT SELECT, INSERT, UPDATE (ended_at) ON funder_rules TO kith_app;
"""

# A budget is of a person in their own area, out of a funder of that area.
BUDGETS = """
CREATE TABLE budgets (
    id uuid CONSTRAINT pk_budgets PRIMARY KEY,
    person_id uuid NOT NULL,
    area_id uuid NOT NULL CONSTRAINT fk_budgets_area_id REFERENCES areas,
    kind text NOT NULL CONSTRAINT ck_budgets_kind CHECK (kind IN ('direct_payment',
        'council_managed', 'individual_service_fund', 'personal_health_budget', 'own_money',
        'grant')),
    funder_id uuid,
    holder_called text NOT NULL
        CONSTRAINT ck_budgets_holder_called CHECK (length(holder_called) BETWEEN 1 AND 120),
    holder_account_id uuid CONSTRAINT fk_budgets_holder_account_id REFERENCES accounts,
    pays_net_or_gross text
        CONSTRAINT ck_budgets_pays_net_or_gross CHECK (pays_net_or_gross IN ('net', 'gross')),
    pooling_authority_at timestamptz,
    account_id uuid NOT NULL,
    source_account_id uuid NOT NULL,
    source_key text NOT NULL CONSTRAINT uq_budgets_source_key UNIQUE,
    state text NOT NULL CONSTRAINT ck_budgets_state CHECK (state IN ('active', 'frozen', 'ended')),
    starts_on date NOT NULL,
    ends_on date,
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT fk_budgets_person_id_area_id
        FOREIGN KEY (person_id, area_id) REFERENCES people (id, area_id),
    CONSTRAINT fk_budgets_funder_id_area_id
        FOREIGN KEY (funder_id, area_id) REFERENCES funders (id, area_id),
    CONSTRAINT ck_budgets_own_money CHECK ((kind = 'own_money') = (funder_id IS NULL)),
    CONSTRAINT ck_budgets_dates CHECK (ends_on >= starts_on)
);
CREATE INDEX ix_budgets_person_id ON budgets (person_id);
CREATE INDEX ix_budgets_area_id ON budgets (area_id);
CREATE INDEX ix_budgets_holder_account_id ON budgets (holder_account_id);
CREATE TABLE budget_purposes (
    id uuid CONSTRAINT pk_budget_purposes PRIMARY KEY,
    budget_id uuid NOT NULL CONSTRAINT fk_budget_purposes_budget_id REFERENCES budgets,
    code text NOT NULL CONSTRAINT ck_budget_purposes_code CHECK (code ~ '^[a-z][a-z0-9_]{0,39}$'),
    words text NOT NULL
        CONSTRAINT ck_budget_purposes_words CHECK (length(words) BETWEEN 1 AND 600),
    from_at timestamptz NOT NULL,
    until_at timestamptz,
    ended_at timestamptz
);
CREATE INDEX ix_budget_purposes_budget_id ON budget_purposes (budget_id);
CREATE TABLE budget_authorities (
    id uuid CONSTRAINT pk_budget_authorities PRIMARY KEY,
    budget_id uuid NOT NULL CONSTRAINT fk_budget_authorities_budget_id REFERENCES budgets,
    account_id uuid NOT NULL CONSTRAINT fk_budget_authorities_account_id REFERENCES accounts,
    authority text NOT NULL CONSTRAINT ck_budget_authorities_authority CHECK (authority IN
        ('own_say_so', 'nominee', 'care_act_s32', 'deputy', 'property_attorney', 'appointee')),
    may text[] NOT NULL,
    in_place_of_person boolean NOT NULL,
    from_at timestamptz NOT NULL,
    until_at timestamptz,
    ended_at timestamptz,
    given_by uuid,
    CONSTRAINT ck_budget_authorities_may
        CHECK ('see' = ANY (may) AND may <@ ARRAY['see', 'promise', 'pay']),
    CONSTRAINT ck_budget_authorities_appointee CHECK (authority <> 'appointee' OR may = '{see}'),
    CONSTRAINT ck_budget_authorities_in_place CHECK (NOT in_place_of_person
        OR ('promise' = ANY (may)
        AND authority IN ('care_act_s32', 'deputy', 'property_attorney'))),
    CONSTRAINT ck_budget_authorities_dates CHECK (until_at > from_at)
);
CREATE INDEX ix_budget_authorities_budget_id ON budget_authorities (budget_id);
CREATE INDEX ix_budget_authorities_account_id ON budget_authorities (account_id);
CREATE TABLE budget_events (
    id uuid CONSTRAINT pk_budget_events PRIMARY KEY,
    budget_id uuid NOT NULL CONSTRAINT fk_budget_events_budget_id REFERENCES budgets,
    what text NOT NULL CONSTRAINT ck_budget_events_what CHECK (what ~ '^[a-z_]{1,40}$'),
    reason text CONSTRAINT ck_budget_events_reason CHECK (reason ~ '^[a-z][a-z0-9_]{0,39}$'),
    words text CONSTRAINT ck_budget_events_words CHECK (length(words) BETWEEN 1 AND 2400),
    bridge text CONSTRAINT ck_budget_events_bridge CHECK (length(bridge) BETWEEN 1 AND 2400),
    amount_pence bigint,
    at timestamptz NOT NULL,
    actor_kind text NOT NULL,
    actor_id uuid,
    CONSTRAINT ck_budget_events_notice
        CHECK (what NOT IN ('frozen', 'ended') OR (reason IS NOT NULL AND words IS NOT NULL))
);
CREATE INDEX ix_budget_events_budget_id_id ON budget_events (budget_id, id);
CALL app_make_append_only('budget_events');
"""

# Whoever asked for a payment, or gets it, never says that it was made.
PAYMENTS = """
CREATE TABLE payments (
    id uuid CONSTRAINT pk_payments PRIMARY KEY,
    area_id uuid NOT NULL CONSTRAINT fk_payments_area_id REFERENCES areas,
    budget_id uuid NOT NULL CONSTRAINT fk_payments_budget_id REFERENCES budgets,
    amount_pence bigint NOT NULL
        CONSTRAINT ck_payments_amount_pence CHECK (amount_pence BETWEEN 1 AND 100000000000),
    payee_key text NOT NULL
        CONSTRAINT ck_payments_payee_key CHECK (payee_key ~ '^[A-Za-z0-9:_.-]{1,120}$'),
    payee_called text NOT NULL
        CONSTRAINT ck_payments_payee_called CHECK (length(payee_called) BETWEEN 1 AND 200),
    payee_account_id uuid CONSTRAINT fk_payments_payee_account_id REFERENCES accounts,
    for_type text NOT NULL CONSTRAINT ck_payments_for_type CHECK (for_type ~ '^[a-z_]{1,40}$'),
    for_id uuid NOT NULL,
    purpose text NOT NULL,
    state text NOT NULL
        CONSTRAINT ck_payments_state CHECK (state IN ('instructed', 'confirmed', 'failed')),
    reference text NOT NULL CONSTRAINT uq_payments_reference UNIQUE,
    from_account_id uuid NOT NULL,
    transfer_id uuid NOT NULL CONSTRAINT uq_payments_transfer_id UNIQUE,
    settled_transfer_id uuid,
    instructed_at timestamptz NOT NULL,
    instructed_by uuid,
    paid_on date,
    confirmed_at timestamptz,
    confirmed_by uuid,
    CONSTRAINT ck_payments_settled CHECK (CASE state WHEN 'instructed'
        THEN settled_transfer_id IS NULL AND confirmed_at IS NULL AND confirmed_by IS NULL
        ELSE settled_transfer_id IS NOT NULL AND confirmed_at IS NOT NULL
            AND confirmed_by IS NOT NULL END),
    CONSTRAINT ck_payments_paid_on CHECK ((state = 'confirmed') = (paid_on IS NOT NULL)),
    CONSTRAINT ck_payments_by_another CHECK (confirmed_by IS NULL
        OR (confirmed_by IS DISTINCT FROM instructed_by
            AND confirmed_by IS DISTINCT FROM payee_account_id))
);
CREATE INDEX ix_payments_area_id_state_id ON payments (area_id, state, id);
CREATE INDEX ix_payments_budget_id ON payments (budget_id);
CREATE INDEX ix_payments_for_id ON payments (for_id);
"""

# Of a purpose, an authority and a rule only the end is ever added; a payment is settled once.
GUARDS = """
CREATE FUNCTION app_only_ends() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.ended_at IS NOT NULL
        OR to_jsonb(NEW) - 'ended_at' IS DISTINCT FROM to_jsonb(OLD) - 'ended_at' THEN
        RAISE EXCEPTION 'of % only the end is added, once', TG_TABLE_NAME
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER only_ends BEFORE UPDATE ON funder_rules
    FOR EACH ROW EXECUTE FUNCTION app_only_ends();
CREATE TRIGGER only_ends BEFORE UPDATE ON budget_purposes
    FOR EACH ROW EXECUTE FUNCTION app_only_ends();
CREATE TRIGGER only_ends BEFORE UPDATE ON budget_authorities
    FOR EACH ROW EXECUTE FUNCTION app_only_ends();
CREATE FUNCTION app_payment_settles() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    told text[] := '{state,settled_transfer_id,paid_on,confirmed_at,confirmed_by}';
BEGIN
    IF OLD.state <> 'instructed' OR NEW.state = 'instructed'
        OR to_jsonb(NEW) - told IS DISTINCT FROM to_jsonb(OLD) - told THEN
        RAISE EXCEPTION 'a payment is settled once and is otherwise what it was'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER settles BEFORE UPDATE ON payments
    FOR EACH ROW EXECUTE FUNCTION app_payment_settles();
"""

# app_budgets_as: what is one's own, or by authority. A person in whose place somebody decides still
# sees, and that is all. app_budget_authorities runs with its caller's rights, so that it is worked
# into the question and finds its index. Of an area's finance and of a holder the policies ask by
# columns: theirs may be thousands.
VISIBILITY = """
CREATE FUNCTION app_budget_authorities(wanted text)
RETURNS TABLE (budget_id uuid, account_id uuid, authority text, in_place_of_person boolean)
LANGUAGE sql STABLE AS $$
    SELECT a.budget_id, a.account_id, a.authority, a.in_place_of_person
    FROM budget_authorities a
    WHERE wanted = ANY (a.may) AND a.ended_at IS NULL AND a.from_at <= app_now()
        AND (a.until_at IS NULL OR a.until_at > app_now())
$$;
CREATE FUNCTION app_budgets_own() RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT b.id FROM budgets b WHERE b.person_id = ANY (ARRAY(SELECT app_speaking_people()))
        AND NOT EXISTS (SELECT FROM app_budget_authorities('promise') a
            WHERE a.budget_id = b.id AND a.in_place_of_person)
$$;
CREATE FUNCTION app_budgets_as(wanted text) RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT b.id FROM budgets b
        WHERE wanted = 'see' AND b.person_id = ANY (ARRAY(SELECT app_own_people()))
    UNION ALL SELECT o FROM app_budgets_own() o WHERE wanted <> 'see'
    UNION ALL SELECT a.budget_id FROM app_budget_authorities(wanted) a
        WHERE app_actor_kind() = 'person' AND a.account_id = app_actor_id()
$$;
CREATE FUNCTION app_budget_area(budget uuid) RETURNS uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT b.area_id FROM budgets b WHERE b.id = budget
$$;
"""

# All that a rule needs to know, in one value: for whoever may see the budget, and for tasks.
FACTS = """
CREATE FUNCTION budget_facts(p_budget uuid) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    RETURN (SELECT jsonb_build_object(
        'budget_id', b.id, 'person_id', b.person_id, 'area_id', b.area_id, 'kind', b.kind,
        'body', f.body, 'funder_id', b.funder_id, 'funder_called', f.name,
        'holder_called', b.holder_called, 'state', b.state,
        'running', b.starts_on <= d.today AND coalesce(b.ends_on >= d.today, true),
        'pooling_authority', b.pooling_authority_at IS NOT NULL,
        'account_id', b.account_id, 'source_account_id', b.source_account_id,
        'source_key', b.source_key,
        'purposes', coalesce((SELECT jsonb_agg(DISTINCT p.code) FROM budget_purposes p
            WHERE p.budget_id = b.id AND p.ended_at IS NULL AND p.from_at <= app_now()
                AND (p.until_at IS NULL OR p.until_at > app_now())), '[]'),
        'rules', coalesce((SELECT jsonb_agg(jsonb_build_object('code', r.code, 'params', r.params,
                'words', r.words, 'who_can_change', r.who_can_change) ORDER BY r.code)
            FROM funder_rules r WHERE r.funder_id = b.funder_id AND r.ended_at IS NULL
                AND r.from_at <= app_now()), '[]'),
        'acting_accounts', (SELECT coalesce(jsonb_agg(x.id), '[]') FROM (
            SELECT who.account_id AS id WHERE who.account_id IS NOT NULL
            UNION SELECT a.account_id FROM app_budget_authorities('promise') a
                WHERE a.budget_id = b.id
            UNION SELECT a.account_id FROM app_budget_authorities('pay') a
                WHERE a.budget_id = b.id) x),
        'acts_by', CASE WHEN app_actor_kind() = 'task' THEN 'task'
            WHEN b.id IN (SELECT app_budgets_own()) THEN 'own_say_so'
            ELSE (SELECT min(a.authority) FROM app_budget_authorities('promise') a
                WHERE a.budget_id = b.id AND app_actor_kind() = 'person'
                    AND a.account_id = app_actor_id()) END)
    FROM budgets b
    JOIN people who ON who.id = b.person_id
    JOIN areas r ON r.id = b.area_id
    LEFT JOIN funders f ON f.id = b.funder_id
    CROSS JOIN LATERAL (SELECT (app_now() AT TIME ZONE
        coalesce(r.settings ->> 'time_zone', 'Europe/London'))::date AS today) d
    WHERE b.id = p_budget
        AND (app_actor_kind() = 'task' OR b.id IN (SELECT app_budgets_as('see'))
            OR b.area_id IN (SELECT app_areas_as('finance', 'manager'))
            OR (app_actor_kind() = 'person' AND b.holder_account_id = app_actor_id())));
END $$;
"""

POLICIES = """
ALTER TABLE budgets ENABLE ROW LEVEL SECURITY;
CREATE POLICY seen ON budgets FOR SELECT TO kith_app
    USING (id = ANY (ARRAY(SELECT app_budgets_as('see')))
        OR area_id = ANY (ARRAY(SELECT app_areas_as('finance', 'manager')))
        OR (app_actor_kind() = 'person' AND holder_account_id = app_actor_id()));
CREATE POLICY opened ON budgets FOR INSERT TO kith_app
    WITH CHECK (CASE kind WHEN 'own_money'
        THEN person_id = ANY (ARRAY(SELECT app_speaking_people()))
        ELSE area_id = ANY (ARRAY(SELECT app_areas_as('finance', 'manager', 'area_admin'))) END);
CREATE POLICY changed ON budgets FOR UPDATE TO kith_app
    USING (id = ANY (ARRAY(SELECT app_budgets_as('promise')))
        OR area_id = ANY (ARRAY(SELECT app_areas_as('finance', 'manager'))));
ALTER TABLE budget_purposes ENABLE ROW LEVEL SECURITY;
CREATE POLICY seen ON budget_purposes FOR SELECT TO kith_app
    USING (EXISTS (SELECT FROM budgets b WHERE b.id = budget_id));
CREATE POLICY agreed ON budget_purposes FOR INSERT TO kith_app
    WITH CHECK (budget_id = ANY (ARRAY(SELECT app_budgets_own()))
        OR app_budget_area(budget_id)
            = ANY (ARRAY(SELECT app_areas_as('finance', 'manager', 'area_admin'))));
CREATE POLICY ended ON budget_purposes FOR UPDATE TO kith_app
    USING (budget_id = ANY (ARRAY(SELECT app_budgets_own()))
        OR app_budget_area(budget_id) = ANY (ARRAY(SELECT app_areas_as('finance', 'manager'))));
ALTER TABLE budget_authorities ENABLE ROW LEVEL SECURITY;
CREATE POLICY seen ON budget_authorities FOR SELECT TO kith_app
    USING (EXISTS (SELECT FROM budgets b WHERE b.id = budget_id));
CREATE POLICY given ON budget_authorities FOR INSERT TO kith_app
    WITH CHECK (CASE WHEN authority IN ('own_say_so', 'nominee')
        THEN budget_id = ANY (ARRAY(SELECT app_budgets_own()))
        ELSE account_id IS DISTINCT FROM app_actor_id() AND app_budget_area(budget_id)
            = ANY (ARRAY(SELECT app_areas_as('finance', 'manager'))) END);
CREATE POLICY ended ON budget_authorities FOR UPDATE TO kith_app
    USING ((app_actor_kind() = 'person' AND account_id = app_actor_id())
        OR (authority IN ('own_say_so', 'nominee')
            AND budget_id = ANY (ARRAY(SELECT app_budgets_own())))
        OR app_budget_area(budget_id) = ANY (ARRAY(SELECT app_areas_as('finance', 'manager'))));
ALTER TABLE budget_events ENABLE ROW LEVEL SECURITY;
CREATE POLICY seen ON budget_events FOR SELECT TO kith_app
    USING (EXISTS (SELECT FROM budgets b WHERE b.id = budget_id));
CREATE POLICY happened ON budget_events FOR INSERT TO kith_app
    WITH CHECK (actor_id IS NOT DISTINCT FROM app_actor_id()
        AND (EXISTS (SELECT FROM budgets b WHERE b.id = budget_id)
            OR app_budget_area(budget_id) = ANY (ARRAY(SELECT app_areas_as('area_admin')))));
ALTER TABLE payments ENABLE ROW LEVEL SECURITY;
CREATE POLICY seen ON payments FOR SELECT TO kith_app
    USING (app_actor_kind() = 'task'
        OR area_id = ANY (ARRAY(SELECT app_areas_as('finance', 'manager')))
        OR EXISTS (SELECT FROM budgets b WHERE b.id = budget_id));
CREATE POLICY instructed ON payments FOR INSERT TO kith_app
    WITH CHECK (state = 'instructed' AND (app_actor_kind() = 'task'
        OR budget_id = ANY (ARRAY(SELECT app_budgets_as('pay')))));
CREATE POLICY settled ON payments FOR UPDATE TO kith_app
    USING (app_actor_kind() = 'task' OR area_id = ANY (ARRAY(SELECT app_areas_as('finance')))
        OR EXISTS (SELECT FROM budgets b
            WHERE b.id = budget_id AND b.holder_account_id = app_actor_id()))
    WITH CHECK (app_actor_kind() = 'task' OR confirmed_by = app_actor_id());
GRANT SELECT, INSERT, UPDATE (state, version, pooling_authority_at, ends_on) ON budgets TO kith_app;
GRANT SELECT, INSERT, UPDATE (ended_at) ON budget_purposes, budget_authorities TO kith_app;
GRANT SELECT, INSERT ON budget_events TO kith_app;
GRANT SELECT, INSERT, UPDATE (state, settled_transfer_id, paid_on, confirmed_at, confirmed_by)
    ON payments TO kith_app;
"""

DOWN = """
DROP TABLE payments, budget_events, budget_authorities, budget_purposes, budgets, funder_rules,
    funders;
DROP FUNCTION budget_facts(uuid), app_budget_area(uuid), app_budgets_as(text), app_budgets_own(),
    app_budget_authorities(text), app_payment_settles(), app_only_ends();
"""


def upgrade() -> None:
    """Make budgets."""
    for statements in (FUNDERS, BUDGETS, PAYMENTS, GUARDS, VISIBILITY, FACTS, POLICIES):
        op.execute(statements)


def downgrade() -> None:
    """Take budgets away."""
    op.execute(DOWN)
