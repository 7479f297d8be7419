"""Groups that put money together: people, offers, votes, promises, stages, every step."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE pools (
    id uuid CONSTRAINT pk_pools PRIMARY KEY,
    area_id uuid NOT NULL CONSTRAINT fk_pools_area_id REFERENCES areas,
    name text NOT NULL CONSTRAINT ck_pools_name CHECK (length(name) BETWEEN 1 AND 80),
    summary text NOT NULL CONSTRAINT ck_pools_summary CHECK (length(summary) BETWEEN 1 AND 600),
    state text NOT NULL CONSTRAINT ck_pools_state CHECK (state IN ('gathering', 'costed',
        'pledging', 'review', 'approved', 'contracted', 'delivering', 'reviewed', 'closed',
        'expired')),
    version bigint NOT NULL DEFAULT 1,
    started_by uuid NOT NULL CONSTRAINT fk_pools_started_by REFERENCES people,
    invite_hash bytea,
    offer_id uuid,
    promise_by timestamptz,
    body_called text CONSTRAINT ck_pools_body_called CHECK (length(body_called) BETWEEN 1 AND 120),
    body_named_by uuid,
    paused_at timestamptz,
    created_at timestamptz NOT NULL,
    CONSTRAINT ck_pools_offer CHECK (state IN ('gathering', 'closed') OR offer_id IS NOT NULL),
    CONSTRAINT ck_pools_body CHECK (state NOT IN ('contracted', 'delivering', 'reviewed')
        OR body_called IS NOT NULL)
);
CREATE INDEX ix_pools_area_id ON pools (area_id);
CREATE INDEX ix_pools_promise_by ON pools (promise_by) WHERE state = 'pledging';
CREATE TABLE pool_members (
    id uuid CONSTRAINT pk_pool_members PRIMARY KEY,
    pool_id uuid NOT NULL CONSTRAINT fk_pool_members_pool_id REFERENCES pools,
    person_id uuid NOT NULL CONSTRAINT fk_pool_members_person_id REFERENCES people,
    number bigint NOT NULL,
    called text NOT NULL CONSTRAINT ck_pool_members_called CHECK (length(called) BETWEEN 1 AND 80),
    access_needs text CONSTRAINT ck_pool_members_access_needs
        CHECK (length(access_needs) BETWEEN 1 AND 600),
    state text NOT NULL CONSTRAINT ck_pool_members_state CHECK (state IN ('in', 'out', 'paused')),
    joined_at timestamptz NOT NULL,
    CONSTRAINT uq_pool_members_pool_id_person_id UNIQUE (pool_id, person_id),
    CONSTRAINT uq_pool_members_pool_id_number UNIQUE (pool_id, number)
);
CREATE INDEX ix_pool_members_person_id ON pool_members (person_id);
CREATE TABLE pool_member_events (
    id uuid CONSTRAINT pk_pool_member_events PRIMARY KEY,
    pool_id uuid NOT NULL CONSTRAINT fk_pool_member_events_pool_id REFERENCES pools,
    member_id uuid NOT NULL CONSTRAINT fk_pool_member_events_member_id REFERENCES pool_members,
    person_id uuid NOT NULL,
    what text NOT NULL CONSTRAINT ck_pool_member_events_what CHECK (what IN ('joined', 'rejoined',
        'promised', 'let_go', 'left', 'declined', 'died', 'estate_settled', 'funder_withdrew',
        'returned', 'asked_again')),
    amount_pence bigint CONSTRAINT ck_pool_member_events_amount_pence CHECK (amount_pence >= 0),
    words text CONSTRAINT ck_pool_member_events_words CHECK (length(words) BETWEEN 1 AND 2000),
    actor_kind text NOT NULL,
    actor_id uuid,
    at timestamptz NOT NULL
);
CREATE INDEX ix_pool_member_events_member_id_id ON pool_member_events (member_id, id);
CREATE TABLE pool_steps (
    id uuid CONSTRAINT pk_pool_steps PRIMARY KEY,
    pool_id uuid NOT NULL CONSTRAINT fk_pool_steps_pool_id REFERENCES pools,
    version bigint NOT NULL,
    what text NOT NULL,
    state text NOT NULL,
    role text NOT NULL CONSTRAINT ck_pool_steps_role CHECK (role IN ('member', 'staff', 'kith')),
    reason text NOT NULL,
    words text CONSTRAINT ck_pool_steps_words CHECK (length(words) BETWEEN 1 AND 2000),
    key text,
    actor_kind text NOT NULL,
    actor_id uuid,
    at timestamptz NOT NULL,
    CONSTRAINT uq_pool_steps_pool_id_version UNIQUE (pool_id, version)
);
CREATE TABLE pool_choices (
    pool_id uuid NOT NULL CONSTRAINT fk_pool_choices_pool_id REFERENCES pools,
    topic text NOT NULL CONSTRAINT ck_pool_choices_topic CHECK (topic IN ('illness', 'holiday',
        'leaving', 'joining', 'unhappiness', 'closing')),
    version bigint NOT NULL,
    choice text NOT NULL,
    at timestamptz NOT NULL,
    CONSTRAINT pk_pool_choices PRIMARY KEY (pool_id, topic, version)
);
CREATE TABLE pool_offers (
    id uuid CONSTRAINT pk_pool_offers PRIMARY KEY,
    pool_id uuid NOT NULL CONSTRAINT fk_pool_offers_pool_id REFERENCES pools,
    account_id uuid CONSTRAINT fk_pool_offers_account_id REFERENCES accounts,
    written_by uuid CONSTRAINT fk_pool_offers_written_by REFERENCES pool_members,
    called text NOT NULL,
    payee_key text NOT NULL,
    words text NOT NULL CONSTRAINT ck_pool_offers_words CHECK (length(words) BETWEEN 1 AND 2000),
    sessions bigint NOT NULL CONSTRAINT ck_pool_offers_sessions CHECK (sessions BETWEEN 1 AND 200),
    stages bigint NOT NULL CONSTRAINT ck_pool_offers_stages CHECK (stages BETWEEN 1 AND sessions),
    lines jsonb NOT NULL,
    session_pence bigint NOT NULL CONSTRAINT ck_pool_offers_session_pence
        CHECK (session_pence BETWEEN 1 AND 1000000000),
    min_people bigint NOT NULL CONSTRAINT ck_pool_offers_min_people CHECK (min_people >= 2),
    max_people bigint NOT NULL CONSTRAINT ck_pool_offers_max_people
        CHECK (max_people BETWEEN min_people AND 200),
    split text NOT NULL CONSTRAINT ck_pool_offers_split CHECK (split IN ('equal', 'by_promise')),
    notice_sessions bigint NOT NULL CONSTRAINT ck_pool_offers_notice_sessions
        CHECK (notice_sessions BETWEEN 0 AND sessions),
    checks_seen text NOT NULL,
    registered boolean NOT NULL,
    replaces_id uuid CONSTRAINT fk_pool_offers_replaces_id REFERENCES pool_offers,
    at timestamptz NOT NULL,
    CONSTRAINT uq_pool_offers_replaces_id UNIQUE (replaces_id),
    CONSTRAINT uq_pool_offers_id_pool_id UNIQUE (id, pool_id)
);
CREATE INDEX ix_pool_offers_pool_id ON pool_offers (pool_id);
CREATE INDEX ix_pool_offers_account_id ON pool_offers (account_id);
ALTER TABLE pools ADD CONSTRAINT fk_pools_offer_id_id FOREIGN KEY (offer_id, id)
    REFERENCES pool_offers (id, pool_id);
CREATE TABLE pool_messages (
    id uuid CONSTRAINT pk_pool_messages PRIMARY KEY,
    pool_id uuid NOT NULL CONSTRAINT fk_pool_messages_pool_id REFERENCES pools,
    offer_id uuid NOT NULL CONSTRAINT fk_pool_messages_offer_id REFERENCES pool_offers,
    called text NOT NULL,
    by text NOT NULL CONSTRAINT ck_pool_messages_by CHECK (by IN ('member', 'provider')),
    words text NOT NULL CONSTRAINT ck_pool_messages_words CHECK (length(words) BETWEEN 1 AND 2000),
    at timestamptz NOT NULL
);
CREATE INDEX ix_pool_messages_offer_id_id ON pool_messages (offer_id, id);
CREATE TABLE pool_votes (
    id uuid CONSTRAINT pk_pool_votes PRIMARY KEY,
    pool_id uuid NOT NULL CONSTRAINT fk_pool_votes_pool_id REFERENCES pools,
    motion text NOT NULL CONSTRAINT ck_pool_votes_motion
        CHECK (motion IN ('choose_offer', 'confirm', 'shrink', 'close')),
    words text NOT NULL,
    easy_words text NOT NULL,
    from_stage bigint,
    opened_at timestamptz NOT NULL,
    closes_at timestamptz NOT NULL,
    outcome text CONSTRAINT ck_pool_votes_outcome
        CHECK (outcome IN ('passed', 'failed', 'not_counted')),
    counts jsonb,
    ended_at timestamptz,
    CONSTRAINT ck_pool_votes_ends CHECK ((outcome IS NULL) = (ended_at IS NULL)
        AND (outcome IS NULL) = (counts IS NULL)),
    CONSTRAINT ck_pool_votes_from_stage CHECK ((motion = 'shrink') = (from_stage IS NOT NULL))
);
CREATE UNIQUE INDEX uq_pool_votes_open ON pool_votes (pool_id) WHERE ended_at IS NULL;
CREATE INDEX ix_pool_votes_closes_at ON pool_votes (closes_at) WHERE ended_at IS NULL;
CREATE TABLE pool_ballots (
    id uuid CONSTRAINT pk_pool_ballots PRIMARY KEY,
    vote_id uuid NOT NULL CONSTRAINT fk_pool_ballots_vote_id REFERENCES pool_votes,
    pool_id uuid NOT NULL,
    member_id uuid NOT NULL CONSTRAINT fk_pool_ballots_member_id REFERENCES pool_members,
    person_id uuid NOT NULL,
    choice text NOT NULL,
    citizen boolean NOT NULL,
    helped text CONSTRAINT ck_pool_ballots_helped
        CHECK (helped IN ('read_out', 'explained', 'pictures', 'interpreted')),
    at timestamptz NOT NULL,
    CONSTRAINT uq_pool_ballots_vote_id_member_id UNIQUE (vote_id, member_id)
);
CREATE INDEX ix_pool_ballots_person_id ON pool_ballots (person_id);
CREATE TABLE pool_pledges (
    id uuid CONSTRAINT pk_pool_pledges PRIMARY KEY,
    pool_id uuid NOT NULL CONSTRAINT fk_pool_pledges_pool_id REFERENCES pools,
    member_id uuid NOT NULL CONSTRAINT fk_pool_pledges_member_id REFERENCES pool_members,
    person_id uuid NOT NULL,
    budget_id uuid NOT NULL CONSTRAINT fk_pool_pledges_budget_id REFERENCES budgets,
    offer_id uuid NOT NULL,
    use_id uuid NOT NULL,
    kind text NOT NULL,
    body text,
    amount_pence bigint NOT NULL CONSTRAINT ck_pool_pledges_amount_pence
        CHECK (amount_pence BETWEEN 1 AND 100000000000),
    hold_id uuid NOT NULL CONSTRAINT uq_pool_pledges_hold_id UNIQUE,
    budget_account_id uuid NOT NULL,
    source_key text NOT NULL,
    share_id uuid,
    state text NOT NULL CONSTRAINT ck_pool_pledges_state CHECK (state IN ('held', 'posted',
        'let_go', 'expired', 'declined', 'returned')),
    key text NOT NULL,
    request_hash bytea NOT NULL,
    made_at timestamptz NOT NULL,
    ended_at timestamptz,
    CONSTRAINT uq_pool_pledges_member_id_key UNIQUE (member_id, key),
    CONSTRAINT ck_pool_pledges_ends CHECK ((state IN ('held', 'posted')) = (ended_at IS NULL)
        AND (state IN ('posted', 'returned')) = (share_id IS NOT NULL)),
    CONSTRAINT fk_pool_pledges_offer_id_pool_id FOREIGN KEY (offer_id, pool_id)
        REFERENCES pool_offers (id, pool_id)
);
CREATE UNIQUE INDEX uq_pool_pledges_live ON pool_pledges (pool_id, budget_id)
    WHERE ended_at IS NULL;
CREATE INDEX ix_pool_pledges_person_id ON pool_pledges (person_id);
CREATE INDEX ix_pool_pledges_budget_id ON pool_pledges (budget_id);
CREATE INDEX ix_pool_pledges_use_id ON pool_pledges (use_id);
CREATE TABLE pool_stages (
    id uuid CONSTRAINT pk_pool_stages PRIMARY KEY,
    pool_id uuid NOT NULL CONSTRAINT fk_pool_stages_pool_id REFERENCES pools,
    number bigint NOT NULL,
    first_session bigint NOT NULL,
    last_session bigint NOT NULL,
    amount_pence bigint NOT NULL,
    state text NOT NULL CONSTRAINT ck_pool_stages_state CHECK (state IN ('planned', 'done',
        'disputed', 'confirmed', 'short', 'paid', 'cancelled')),
    done_at timestamptz,
    confirmed_at timestamptz,
    paid_at timestamptz,
    CONSTRAINT uq_pool_stages_pool_id_number UNIQUE (pool_id, number),
    CONSTRAINT ck_pool_stages_paid CHECK ((state = 'paid') = (paid_at IS NOT NULL)
        AND (paid_at IS NULL OR confirmed_at IS NOT NULL))
);
CREATE TABLE pool_stage_words (
    id uuid CONSTRAINT pk_pool_stage_words PRIMARY KEY,
    pool_id uuid NOT NULL,
    stage_id uuid NOT NULL CONSTRAINT fk_pool_stage_words_stage_id REFERENCES pool_stages,
    member_id uuid CONSTRAINT fk_pool_stage_words_member_id REFERENCES pool_members,
    what text NOT NULL CONSTRAINT ck_pool_stage_words_what
        CHECK (what IN ('done', 'confirmed', 'disputed', 'settled', 'wages')),
    words text CONSTRAINT ck_pool_stage_words_words CHECK (length(words) BETWEEN 1 AND 2000),
    actor_kind text NOT NULL,
    actor_id uuid,
    at timestamptz NOT NULL,
    CONSTRAINT ck_pool_stage_words_who CHECK ((what IN ('done', 'wages')) = (member_id IS NULL))
);
CREATE INDEX ix_pool_stage_words_stage_id_id ON pool_stage_words (stage_id, id);
CREATE TABLE pool_approvals (
    id uuid CONSTRAINT pk_pool_approvals PRIMARY KEY,
    pool_id uuid NOT NULL CONSTRAINT fk_pool_approvals_pool_id REFERENCES pools,
    round bigint NOT NULL,
    account_id uuid NOT NULL CONSTRAINT fk_pool_approvals_account_id REFERENCES accounts,
    at timestamptz NOT NULL,
    CONSTRAINT uq_pool_approvals_pool_id_round_account_id UNIQUE (pool_id, round, account_id)
);
CALL app_make_append_only('pool_member_events');
CALL app_make_append_only('pool_steps');
CALL app_make_append_only('pool_choices');
CALL app_make_append_only('pool_offers');
CALL app_make_append_only('pool_messages');
CALL app_make_append_only('pool_ballots');
CALL app_make_append_only('pool_stage_words');
CALL app_make_append_only('pool_approvals');
"""

# What must never break, said to PostgreSQL: which state may follow which; each change is a row
# with its version; no promise before the six rules are chosen, after the day, in a pause or out of
# order; an approver is neither who named the body, nor the payee, nor a member.
GUARDS = """
CREATE FUNCTION pools_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR NEW.id <> OLD.id OR NEW.area_id <> OLD.area_id
        OR NEW.started_by <> OLD.started_by OR NEW.created_at <> OLD.created_at
        OR NEW.version NOT IN (OLD.version, OLD.version + 1)
        OR ((NEW.state, NEW.offer_id, NEW.promise_by, NEW.body_called, NEW.paused_at)
            IS DISTINCT FROM (OLD.state, OLD.offer_id, OLD.promise_by, OLD.body_called,
            OLD.paused_at) AND NEW.version = OLD.version)
    THEN
        RAISE EXCEPTION 'a group changes by steps with a version of their own'
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF NEW.state <> OLD.state AND NOT (OLD.state || '>' || NEW.state) = ANY (ARRAY[
        'gathering>costed', 'gathering>closed', 'costed>pledging', 'costed>closed',
        'pledging>costed', 'pledging>review', 'pledging>expired', 'pledging>closed',
        'expired>pledging', 'expired>closed', 'review>approved', 'review>pledging',
        'review>closed', 'approved>contracted', 'approved>pledging', 'approved>closed',
        'contracted>delivering', 'contracted>reviewed', 'delivering>reviewed', 'reviewed>closed'])
    THEN
        RAISE EXCEPTION 'from % there is no way to %', OLD.state, NEW.state
            USING ERRCODE = 'check_violation', CONSTRAINT = 'pools_move';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER moves BEFORE UPDATE OR DELETE ON pools
    FOR EACH ROW EXECUTE FUNCTION pools_move();
CREATE FUNCTION pools_told() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pool_steps s WHERE s.pool_id = NEW.id AND s.version = NEW.version)
    THEN
        RAISE EXCEPTION 'each change of a group is a row'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'pools_told';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER told AFTER INSERT OR UPDATE OF version ON pools
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION pools_told();
CREATE FUNCTION pools_pledge_in_order() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    p pools;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF row(NEW.id, NEW.pool_id, NEW.member_id, NEW.person_id, NEW.budget_id, NEW.offer_id,
            NEW.amount_pence, NEW.hold_id, NEW.made_at) IS DISTINCT FROM row(OLD.id, OLD.pool_id,
            OLD.member_id, OLD.person_id, OLD.budget_id, OLD.offer_id, OLD.amount_pence,
            OLD.hold_id, OLD.made_at) OR OLD.ended_at IS NOT NULL
            OR (OLD.state = 'posted' AND NEW.state NOT IN ('posted', 'returned'))
        THEN
            RAISE EXCEPTION 'a promise ends once, and is otherwise what it was'
                USING ERRCODE = 'restrict_violation';
        END IF;
        RETURN NEW;
    END IF;
    SELECT * INTO p FROM pools WHERE id = NEW.pool_id;
    IF p.paused_at IS NOT NULL OR NEW.offer_id IS DISTINCT FROM p.offer_id OR NOT (CASE
        WHEN p.state = 'pledging' THEN p.promise_by > app_now()
        ELSE p.state IN ('contracted', 'delivering') END)
    THEN
        RAISE EXCEPTION 'a promise has its time' USING ERRCODE = 'check_violation',
            CONSTRAINT = 'pools_pledge_in_order';
    END IF;
    IF NOT EXISTS (SELECT FROM pool_members m WHERE m.id = NEW.member_id
        AND m.pool_id = NEW.pool_id AND m.person_id = NEW.person_id AND m.state = 'in')
    THEN
        RAISE EXCEPTION 'a promise is of somebody in the group'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'pools_pledge_in_order';
    END IF;
    IF (SELECT count(DISTINCT c.topic) FROM pool_choices c WHERE c.pool_id = NEW.pool_id) < 6 THEN
        RAISE EXCEPTION 'the six rules are chosen before the first pound'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'pools_pledge_in_order';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER in_order BEFORE INSERT OR UPDATE ON pool_pledges
    FOR EACH ROW EXECUTE FUNCTION pools_pledge_in_order();
CREATE FUNCTION pools_approver() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM pools p JOIN pool_offers o ON o.id = p.offer_id
            WHERE p.id = NEW.pool_id AND NEW.account_id IN (o.account_id, p.body_named_by))
        OR EXISTS (SELECT FROM pool_members m JOIN people q ON q.id = m.person_id
            WHERE m.pool_id = NEW.pool_id AND q.account_id = NEW.account_id)
    THEN
        RAISE EXCEPTION 'an approver is neither author nor payee nor member'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'pools_approver';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER approver BEFORE INSERT ON pool_approvals
    FOR EACH ROW EXECUTE FUNCTION pools_approver();
"""

# Who sees what. Members see each other's name in the group and whether they are in. Promises are
# the person's own and the staff's who keep the money in order; why somebody went is the person's
# and the managers'; a ballot is the person's alone. Whoever left still finds the group (known) with
# what it offered and their own part, and nothing of what the others say and do.
VISIBILITY = """
CREATE FUNCTION app_pools_mine() RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT m.pool_id FROM pool_members m
        WHERE m.person_id IN (SELECT app_speaking_people()) AND m.state <> 'out'
    UNION ALL SELECT m.pool_id FROM pool_members m JOIN budgets b ON b.person_id = m.person_id
        WHERE m.state <> 'out' AND b.id IN (
            SELECT a.budget_id FROM app_budget_authorities('promise') a
            WHERE app_actor_kind() = 'person' AND a.account_id = app_actor_id())
$$;
CREATE FUNCTION app_pools_kept() RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT p.id FROM pools p
    WHERE p.area_id IN (SELECT app_areas_as('manager', 'finance', 'commissioner'))
    UNION ALL SELECT app_subject_id()
        WHERE app_actor_kind() = 'task' AND app_subject_id() IS NOT NULL
$$;
CREATE FUNCTION app_pools_seen() RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT app_pools_mine()
    UNION ALL SELECT app_pools_kept()
    UNION ALL SELECT o.pool_id FROM pool_offers o
        WHERE app_actor_kind() = 'person' AND o.account_id = app_actor_id()
$$;
CREATE FUNCTION app_pools_known() RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT app_pools_seen()
    UNION ALL SELECT m.pool_id FROM pool_members m
        WHERE m.person_id IN (SELECT app_speaking_people()) AND m.state = 'out'
$$;
CREATE FUNCTION pools_front(p_pool uuid, p_invite bytea, p_joining boolean)
RETURNS TABLE (id uuid, area_id uuid, name text, summary text, state text, people bigint,
    max_people bigint, joining text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF app_actor_kind() NOT IN ('person', 'code_holder') THEN RETURN; END IF;
    IF p_joining THEN PERFORM FROM pools p WHERE p.id = p_pool FOR NO KEY UPDATE; END IF;
    RETURN QUERY SELECT p.id, p.area_id, p.name, p.summary, p.state, m.people, o.max_people, (
            SELECT c.choice FROM pool_choices c WHERE c.pool_id = p.id AND c.topic = 'joining'
            ORDER BY c.version DESC LIMIT 1)
        FROM pools p LEFT JOIN pool_offers o ON o.id = p.offer_id,
            LATERAL (SELECT count(*) AS people FROM pool_members x
                WHERE x.pool_id = p.id AND x.state = 'in') m
        WHERE p.id = p_pool AND (p.invite_hash = p_invite OR (m.people >= 5 AND EXISTS (
            SELECT FROM people q WHERE q.id IN (SELECT app_speaking_people())
                AND q.area_id = p.area_id)));
    IF FOUND THEN PERFORM set_config('app.pool_let_in', p_pool::text, true); END IF;
END $$;
CREATE FUNCTION pools_open(p_area uuid) RETURNS TABLE (id uuid, name text, summary text,
    state text, people bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT p.id, p.name, p.summary, p.state, m.people FROM pools p,
        LATERAL (SELECT count(*) AS people FROM pool_members x
            WHERE x.pool_id = p.id AND x.state = 'in') m
    WHERE p.area_id = p_area AND p.state IN ('gathering', 'costed', 'pledging')
        AND p.paused_at IS NULL AND m.people >= 5
        AND app_actor_kind() IN ('person', 'code_holder')
    ORDER BY p.id LIMIT 200
$$;
CREATE FUNCTION pools_next_number(p_pool uuid) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT coalesce(max(m.number), 0) + 1 FROM pool_members m WHERE m.pool_id = p_pool
$$;
CREATE FUNCTION pools_shares(p_pool uuid) RETURNS TABLE (pledge_id uuid, member_id uuid,
    number bigint, member_state text, budget_id uuid, use_id uuid, offer_id uuid, body text,
    amount_pence bigint, hold_id uuid, budget_account_id uuid, source_key text, share_id uuid,
    state text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT g.id, g.member_id, m.number, m.state, g.budget_id, g.use_id, g.offer_id, g.body,
        g.amount_pence, g.hold_id, g.budget_account_id, g.source_key, g.share_id, g.state
    FROM pool_pledges g JOIN pool_members m ON m.id = g.member_id
    WHERE g.pool_id = p_pool AND (g.ended_at IS NULL OR g.share_id IS NOT NULL)
        AND p_pool IN (SELECT app_pools_known())
    ORDER BY m.number, g.id
$$;
CREATE FUNCTION pools_look(p_pool uuid, p_budget uuid, p_key text) RETURNS TABLE (pool_id uuid,
    state text, promise_by timestamptz, paused_at timestamptz, offer_id uuid, lines jsonb,
    called text, payee_account_id uuid, payee_key text, registered boolean, facts jsonb,
    member_id uuid, member_state text, again_id uuid, request_hash bytea, live_id uuid,
    live_hold_id uuid, joining text, stopped_since timestamptz)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    v_facts jsonb;
    v_stopped timestamptz;
BEGIN
    IF NOT EXISTS (SELECT FROM app_pools_seen() s WHERE s = p_pool) THEN RETURN; END IF;
    PERFORM FROM pools p WHERE p.id = p_pool FOR SHARE;
    PERFORM FROM pool_pledges l WHERE l.pool_id = p_pool AND l.budget_id = p_budget
        AND l.ended_at IS NULL FOR NO KEY UPDATE;
    v_facts := budget_facts(p_budget);
    SELECT min(g.since) INTO v_stopped FROM decisions_guard('{pool,budget,person}',
        ARRAY[p_pool, p_budget, (v_facts ->> 'person_id')::uuid]) g;
    RETURN QUERY SELECT p.id, p.state, p.promise_by, p.paused_at, p.offer_id, o.lines, o.called,
        o.account_id, o.payee_key, o.registered, v_facts, m.id, m.state, k.id, k.request_hash,
        l.id, l.hold_id, (SELECT c.choice FROM pool_choices c WHERE c.pool_id = p.id
            AND c.topic = 'joining' ORDER BY c.version DESC LIMIT 1), v_stopped
    FROM pools p LEFT JOIN pool_offers o ON o.id = p.offer_id
    LEFT JOIN pool_members m ON m.pool_id = p.id
        AND m.person_id = (v_facts ->> 'person_id')::uuid
    LEFT JOIN pool_pledges k ON k.member_id = m.id AND k.key = p_key
    LEFT JOIN pool_pledges l ON l.pool_id = p.id AND l.budget_id = p_budget
        AND l.ended_at IS NULL
    WHERE p.id = p_pool;
END $$;
CREATE FUNCTION pools_ballots(p_vote uuid) RETURNS TABLE (choice text, citizen boolean,
    ballots bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT b.choice, b.citizen, count(*)
    FROM pool_ballots b JOIN pool_members m ON m.id = b.member_id AND m.state = 'in'
    WHERE b.vote_id = p_vote AND b.pool_id IN (SELECT app_pools_seen()) GROUP BY 1, 2
$$;
CREATE FUNCTION pools_of_use(p_use uuid) RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT DISTINCT g.pool_id FROM pool_pledges g
    WHERE app_actor_kind() = 'task' AND g.use_id = p_use
$$;
CREATE FUNCTION pools_due(p_now timestamptz) RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT p.id FROM pools p WHERE app_actor_kind() = 'task' AND p.paused_at IS NULL
        AND p.state = 'pledging' AND p.promise_by <= p_now
    UNION SELECT v.pool_id FROM pool_votes v WHERE app_actor_kind() = 'task'
        AND v.ended_at IS NULL AND v.closes_at <= p_now
    UNION SELECT p.id FROM pools p WHERE app_actor_kind() = 'task' AND p.paused_at IS NULL
        AND p.state IN ('review', 'approved', 'contracted', 'delivering', 'reviewed')
$$;
"""

POLICIES = """
ALTER TABLE pools ENABLE ROW LEVEL SECURITY;
CREATE POLICY known ON pools FOR SELECT TO kith_app
    USING (id = ANY (ARRAY(SELECT app_pools_known())));
CREATE POLICY started ON pools FOR INSERT TO kith_app
    WITH CHECK (started_by = ANY (ARRAY(SELECT app_speaking_people())));
CREATE POLICY moved ON pools FOR UPDATE TO kith_app
    USING (id = ANY (ARRAY(SELECT app_pools_known())));
ALTER TABLE pool_members ENABLE ROW LEVEL SECURITY;
CREATE POLICY seen ON pool_members FOR SELECT TO kith_app
    USING (pool_id = ANY (ARRAY(SELECT app_pools_seen()))
        OR person_id = ANY (ARRAY(SELECT app_speaking_people())));
CREATE POLICY joined ON pool_members FOR INSERT TO kith_app
    WITH CHECK (person_id = ANY (ARRAY(SELECT app_speaking_people()))
        AND pool_id::text = current_setting('app.pool_let_in', true));
CREATE POLICY changed ON pool_members FOR UPDATE TO kith_app
    USING (person_id = ANY (ARRAY(SELECT app_speaking_people()))
        OR pool_id = ANY (ARRAY(SELECT app_pools_kept())));
ALTER TABLE pool_member_events ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON pool_member_events FOR SELECT TO kith_app
    USING (person_id = ANY (ARRAY(SELECT app_speaking_people()))
        OR (app_actor_kind() = 'task' AND pool_id = app_subject_id())
        OR EXISTS (SELECT FROM pools p WHERE p.id = pool_id
            AND p.area_id = ANY (ARRAY(SELECT app_areas_as('manager')))));
CREATE POLICY happened ON pool_member_events FOR INSERT TO kith_app
    WITH CHECK (actor_id = app_actor_id()
        AND (person_id = ANY (ARRAY(SELECT app_speaking_people()))
            OR pool_id = ANY (ARRAY(SELECT app_pools_kept()))));
ALTER TABLE pool_steps ENABLE ROW LEVEL SECURITY;
CREATE POLICY seen ON pool_steps FOR SELECT TO kith_app
    USING (pool_id = ANY (ARRAY(SELECT app_pools_seen())));
CREATE POLICY taken ON pool_steps FOR INSERT TO kith_app
    WITH CHECK (actor_id = app_actor_id() AND pool_id = ANY (ARRAY(SELECT app_pools_known())));
ALTER TABLE pool_choices ENABLE ROW LEVEL SECURITY;
CREATE POLICY seen ON pool_choices FOR SELECT TO kith_app
    USING (pool_id = ANY (ARRAY(SELECT app_pools_seen())));
CREATE POLICY agreed ON pool_choices FOR INSERT TO kith_app
    WITH CHECK (pool_id = ANY (ARRAY(SELECT app_pools_mine())));
ALTER TABLE pool_offers ENABLE ROW LEVEL SECURITY;
CREATE POLICY known ON pool_offers FOR SELECT TO kith_app
    USING (pool_id = ANY (ARRAY(SELECT app_pools_known())));
CREATE POLICY offered ON pool_offers FOR INSERT TO kith_app
    WITH CHECK (CASE WHEN account_id IS NULL THEN pool_id = ANY (ARRAY(SELECT app_pools_mine()))
        ELSE account_id = app_actor_id() AND (pool_id = ANY (ARRAY(SELECT app_pools_known()))
            OR pool_id::text = current_setting('app.pool_let_in', true)) END);
ALTER TABLE pool_messages ENABLE ROW LEVEL SECURITY;
CREATE POLICY seen ON pool_messages FOR SELECT TO kith_app
    USING (pool_id = ANY (ARRAY(SELECT app_pools_seen())));
CREATE POLICY said ON pool_messages FOR INSERT TO kith_app
    WITH CHECK (CASE by WHEN 'provider' THEN EXISTS (SELECT FROM pool_offers o
            WHERE o.id = offer_id AND o.account_id = app_actor_id())
        ELSE pool_id = ANY (ARRAY(SELECT app_pools_mine())) END);
ALTER TABLE pool_votes ENABLE ROW LEVEL SECURITY;
CREATE POLICY seen ON pool_votes FOR SELECT TO kith_app
    USING (pool_id = ANY (ARRAY(SELECT app_pools_seen())));
CREATE POLICY put ON pool_votes FOR INSERT TO kith_app
    WITH CHECK (pool_id = ANY (ARRAY(SELECT app_pools_mine())));
CREATE POLICY counted ON pool_votes FOR UPDATE TO kith_app
    USING (pool_id = ANY (ARRAY(SELECT app_pools_kept())));
ALTER TABLE pool_ballots ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON pool_ballots FOR SELECT TO kith_app
    USING (person_id = ANY (ARRAY(SELECT app_speaking_people())));
CREATE POLICY cast_by_oneself ON pool_ballots FOR INSERT TO kith_app
    WITH CHECK (person_id = ANY (ARRAY(SELECT app_speaking_people())));
ALTER TABLE pool_pledges ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON pool_pledges FOR SELECT TO kith_app
    USING (person_id = ANY (ARRAY(SELECT app_speaking_people()))
        OR pool_id = ANY (ARRAY(SELECT app_pools_kept()))
        OR budget_id = ANY (ARRAY(SELECT app_budgets_as('promise'))));
CREATE POLICY promised ON pool_pledges FOR INSERT TO kith_app
    WITH CHECK (budget_id = ANY (ARRAY(SELECT app_budgets_as('promise'))));
CREATE POLICY ended ON pool_pledges FOR UPDATE TO kith_app
    USING (person_id = ANY (ARRAY(SELECT app_speaking_people()))
        OR pool_id = ANY (ARRAY(SELECT app_pools_kept()))
        OR budget_id = ANY (ARRAY(SELECT app_budgets_as('promise'))));
ALTER TABLE pool_stages ENABLE ROW LEVEL SECURITY;
CREATE POLICY seen ON pool_stages FOR SELECT TO kith_app
    USING (pool_id = ANY (ARRAY(SELECT app_pools_seen())));
CREATE POLICY planned ON pool_stages FOR INSERT TO kith_app
    WITH CHECK (app_actor_kind() = 'task' AND pool_id = app_subject_id());
CREATE POLICY went_on ON pool_stages FOR UPDATE TO kith_app
    USING (pool_id = ANY (ARRAY(SELECT app_pools_seen())));
ALTER TABLE pool_stage_words ENABLE ROW LEVEL SECURITY;
CREATE POLICY seen ON pool_stage_words FOR SELECT TO kith_app
    USING (pool_id = ANY (ARRAY(SELECT app_pools_seen())));
CREATE POLICY said ON pool_stage_words FOR INSERT TO kith_app
    WITH CHECK (actor_id = app_actor_id() AND pool_id = ANY (ARRAY(SELECT app_pools_seen()))
        AND (member_id IS NULL OR EXISTS (SELECT FROM pool_members m WHERE m.id = member_id
            AND m.person_id = ANY (ARRAY(SELECT app_speaking_people())))));
ALTER TABLE pool_approvals ENABLE ROW LEVEL SECURITY;
CREATE POLICY seen ON pool_approvals FOR SELECT TO kith_app
    USING (pool_id = ANY (ARRAY(SELECT app_pools_seen())));
CREATE POLICY passed ON pool_approvals FOR INSERT TO kith_app
    WITH CHECK (account_id = app_actor_id() AND pool_id = ANY (ARRAY(SELECT app_pools_kept())));
"""

GRANTS = """
REVOKE ALL ON FUNCTION pools_move, pools_told, pools_pledge_in_order, pools_approver FROM PUBLIC;
GRANT SELECT, INSERT ON pools, pool_members, pool_member_events, pool_steps, pool_choices,
    pool_offers, pool_messages, pool_votes, pool_ballots, pool_pledges, pool_stages,
    pool_stage_words, pool_approvals TO kith_app;
GRANT UPDATE (state, version, invite_hash, offer_id, promise_by, body_called, body_named_by,
    paused_at) ON pools TO kith_app;
GRANT UPDATE (state) ON pool_members TO kith_app;
GRANT UPDATE (closes_at, outcome, counts, ended_at) ON pool_votes TO kith_app;
GRANT UPDATE (state, done_at, confirmed_at, paid_at) ON pool_stages TO kith_app;
GRANT UPDATE (state, share_id, ended_at) ON pool_pledges TO kith_app;
"""

DOWN = """
DROP TABLE pool_approvals, pool_stage_words, pool_stages, pool_pledges, pool_ballots, pool_votes,
    pool_messages, pool_choices, pool_steps, pool_member_events, pool_members CASCADE;
ALTER TABLE pools DROP CONSTRAINT fk_pools_offer_id_id;
DROP TABLE pool_offers, pools CASCADE;
DROP FUNCTION pools_due, pools_of_use, pools_look, pools_ballots, pools_shares,
    pools_next_number, pools_open, pools_front, app_pools_known, app_pools_seen, app_pools_kept,
    app_pools_mine, pools_approver, pools_pledge_in_order, pools_told, pools_move;
"""


def upgrade() -> None:
    """Make what groups need."""
    for statements in (TABLES, GUARDS, VISIBILITY, POLICIES, GRANTS):
        op.execute(statements)


def downgrade() -> None:
    """Take it away."""
    op.execute(DOWN)
