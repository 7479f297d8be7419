"""Go-aheads and who gives them, looking again, safety stops; what a worry is about.

Knows neither pools nor budgets: what a go-ahead or a stop is about is a type and an id.
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

SIGN_OFFS = """
CREATE TABLE sign_offs (
    id uuid CONSTRAINT pk_sign_offs PRIMARY KEY,
    subject_type text NOT NULL CONSTRAINT ck_sign_offs_subject_type
        CHECK (subject_type ~ '^[a-z_]{1,40}$'),
    subject_id uuid NOT NULL,
    person_id uuid NOT NULL,
    area_id uuid NOT NULL CONSTRAINT fk_sign_offs_area_id REFERENCES areas,
    body text NOT NULL CONSTRAINT ck_sign_offs_body CHECK (body IN ('council', 'nhs', 'charity')),
    about jsonb NOT NULL CONSTRAINT ck_sign_offs_about CHECK (jsonb_typeof(about) = 'object'),
    amount_pence bigint NOT NULL CONSTRAINT ck_sign_offs_amount
        CHECK (amount_pence BETWEEN 0 AND 100000000000),
    not_by uuid[] NOT NULL,
    asked_by uuid CONSTRAINT fk_sign_offs_asked_by REFERENCES accounts,
    asked_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    state text NOT NULL CONSTRAINT ck_sign_offs_state CHECK (state IN
        ('waiting', 'approved', 'declined', 'superseded', 'withdrawn')),
    escalated_at timestamptz,
    decided_at timestamptz,
    decided_by uuid CONSTRAINT fk_sign_offs_decided_by REFERENCES accounts,
    CONSTRAINT fk_sign_offs_person_id_area_id FOREIGN KEY (person_id, area_id)
        REFERENCES people (id, area_id),
    CONSTRAINT ck_sign_offs_due CHECK (due_at > asked_at),
    CONSTRAINT ck_sign_offs_decided CHECK ((decided_at IS NULL) = (decided_by IS NULL)
        AND (state NOT IN ('approved', 'declined') OR decided_at IS NOT NULL)
        AND (state <> 'waiting' OR decided_at IS NULL)),
    CONSTRAINT ck_sign_offs_not_ones_own CHECK (decided_by IS NULL
        OR (decided_by <> ALL (not_by) AND decided_by IS DISTINCT FROM asked_by))
);
CREATE UNIQUE INDEX uq_sign_offs_waiting ON sign_offs (subject_type, subject_id)
    WHERE state = 'waiting';
CREATE INDEX ix_sign_offs_subject_type_subject_id ON sign_offs (subject_type, subject_id);
CREATE INDEX ix_sign_offs_person_id_id ON sign_offs (person_id, id);
CREATE INDEX ix_sign_offs_asked_by ON sign_offs (asked_by);
CREATE INDEX ix_sign_offs_area_id_due_at ON sign_offs (area_id, due_at)
    WHERE state = 'waiting';
CREATE INDEX ix_sign_offs_unheard ON sign_offs (due_at)
    WHERE state = 'waiting' AND escalated_at IS NULL;
CREATE TABLE sign_off_wishes (
    id uuid CONSTRAINT pk_sign_off_wishes PRIMARY KEY,
    sign_off_id uuid NOT NULL CONSTRAINT fk_sign_off_wishes_sign_off_id REFERENCES sign_offs,
    said_by uuid CONSTRAINT fk_sign_off_wishes_said_by REFERENCES accounts,
    words text NOT NULL CONSTRAINT ck_sign_off_wishes_words
        CHECK (length(words) BETWEEN 1 AND 2000 AND words ~ '[^[:space:]]'),
    at timestamptz NOT NULL
);
CREATE INDEX ix_sign_off_wishes_sign_off_id_id ON sign_off_wishes (sign_off_id, id);
CREATE TABLE sign_off_decisions (
    id uuid CONSTRAINT pk_sign_off_decisions PRIMARY KEY,
    sign_off_id uuid NOT NULL CONSTRAINT fk_sign_off_decisions_sign_off_id REFERENCES sign_offs,
    outcome text NOT NULL CONSTRAINT ck_sign_off_decisions_outcome
        CHECK (outcome IN ('approved', 'declined')),
    ground text CONSTRAINT ck_sign_off_decisions_ground
        CHECK (ground IN ('law', 'safety', 'plan_fit')),
    words text CONSTRAINT ck_sign_off_decisions_words
        CHECK (length(words) BETWEEN 1 AND 2000 AND words ~ '[^[:space:]]'),
    who_can_change text,
    who_rings text,
    rings_by date,
    decided_by uuid NOT NULL CONSTRAINT fk_sign_off_decisions_decided_by REFERENCES accounts,
    decided_by_called text NOT NULL,
    at timestamptz NOT NULL,
    CONSTRAINT uq_sign_off_decisions_id_sign_off_id_decided_by
        UNIQUE (id, sign_off_id, decided_by),
    CONSTRAINT ck_sign_off_decisions_a_no_says_why CHECK (CASE outcome
        WHEN 'declined' THEN num_nulls(ground, words, who_can_change, who_rings, rings_by) = 0
        ELSE num_nonnulls(ground, who_can_change, who_rings, rings_by) = 0 END)
);
CREATE INDEX ix_sign_off_decisions_sign_off_id_id ON sign_off_decisions (sign_off_id, id);
CREATE TABLE challenges (
    id uuid CONSTRAINT pk_challenges PRIMARY KEY,
    sign_off_id uuid NOT NULL CONSTRAINT fk_challenges_sign_off_id REFERENCES sign_offs,
    decision_id uuid NOT NULL,
    challenged_decider uuid NOT NULL,
    raised_by uuid CONSTRAINT fk_challenges_raised_by REFERENCES accounts,
    words text NOT NULL CONSTRAINT ck_challenges_words
        CHECK (length(words) BETWEEN 1 AND 2000 AND words ~ '[^[:space:]]'),
    raised_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    escalated_at timestamptz,
    outcome text CONSTRAINT ck_challenges_outcome CHECK (outcome IN ('stands', 'changed')),
    answer text CONSTRAINT ck_challenges_answer
        CHECK (length(answer) BETWEEN 1 AND 2000 AND answer ~ '[^[:space:]]'),
    decided_by uuid CONSTRAINT fk_challenges_decided_by REFERENCES accounts,
    decided_by_called text,
    decided_at timestamptz,
    CONSTRAINT fk_challenges_decision_id_sign_off_id_challenged_decider
        FOREIGN KEY (decision_id, sign_off_id, challenged_decider)
        REFERENCES sign_off_decisions (id, sign_off_id, decided_by),
    CONSTRAINT ck_challenges_due CHECK (due_at > raised_at),
    CONSTRAINT ck_challenges_decided_whole CHECK (
        num_nonnulls(outcome, answer, decided_by, decided_by_called, decided_at) IN (0, 5)),
    CONSTRAINT ck_challenges_somebody_else CHECK (decided_by <> challenged_decider)
);
CREATE UNIQUE INDEX uq_challenges_open ON challenges (sign_off_id) WHERE outcome IS NULL;
CREATE INDEX ix_challenges_sign_off_id_id ON challenges (sign_off_id, id);
CREATE INDEX ix_challenges_unheard ON challenges (due_at)
    WHERE outcome IS NULL AND escalated_at IS NULL;
"""

STOPS = """
CREATE TABLE safety_stops (
    id uuid CONSTRAINT pk_safety_stops PRIMARY KEY,
    subject_type text NOT NULL CONSTRAINT ck_safety_stops_subject_type
        CHECK (subject_type ~ '^[a-z_]{1,40}$'),
    subject_id uuid NOT NULL,
    area_id uuid NOT NULL CONSTRAINT fk_safety_stops_area_id REFERENCES areas,
    ground text NOT NULL CONSTRAINT ck_safety_stops_ground CHECK (ground IN
        ('harm', 'pressure', 'not_their_wish', 'something_else')),
    words text NOT NULL CONSTRAINT ck_safety_stops_words
        CHECK (length(words) BETWEEN 1 AND 2000 AND words ~ '[^[:space:]]'),
    raised_by_kind text NOT NULL CONSTRAINT ck_safety_stops_raised_by_kind
        CHECK (raised_by_kind IN ('person', 'code_holder')),
    raised_by uuid NOT NULL,
    raised_at timestamptz NOT NULL,
    reply_due_at timestamptz NOT NULL,
    answered_at timestamptz,
    escalated_at timestamptz,
    lifted_at timestamptz,
    CONSTRAINT ck_safety_stops_due CHECK (reply_due_at > raised_at)
);
CREATE INDEX ix_safety_stops_held ON safety_stops (subject_type, subject_id)
    WHERE lifted_at IS NULL;
CREATE INDEX ix_safety_stops_area_id_reply_due_at ON safety_stops (area_id, reply_due_at)
    WHERE lifted_at IS NULL;
CREATE INDEX ix_safety_stops_raised_by_id ON safety_stops (raised_by, id);
CREATE INDEX ix_safety_stops_unheard ON safety_stops (reply_due_at)
    WHERE answered_at IS NULL AND escalated_at IS NULL;
CREATE TABLE safety_stop_answers (
    id uuid CONSTRAINT pk_safety_stop_answers PRIMARY KEY,
    stop_id uuid NOT NULL CONSTRAINT fk_safety_stop_answers_stop_id REFERENCES safety_stops,
    outcome text NOT NULL CONSTRAINT ck_safety_stop_answers_outcome
        CHECK (outcome IN ('upheld', 'lifted')),
    words text NOT NULL CONSTRAINT ck_safety_stop_answers_words
        CHECK (length(words) BETWEEN 1 AND 2000 AND words ~ '[^[:space:]]'),
    answered_by uuid NOT NULL CONSTRAINT fk_safety_stop_answers_answered_by REFERENCES accounts,
    at timestamptz NOT NULL
);
CREATE INDEX ix_safety_stop_answers_stop_id_id ON safety_stop_answers (stop_id, id);
CREATE UNIQUE INDEX uq_safety_stop_answers_lifted ON safety_stop_answers (stop_id)
    WHERE outcome = 'lifted';
CREATE TABLE decision_events (
    id uuid CONSTRAINT pk_decision_events PRIMARY KEY,
    sign_off_id uuid CONSTRAINT fk_decision_events_sign_off_id REFERENCES sign_offs,
    stop_id uuid CONSTRAINT fk_decision_events_stop_id REFERENCES safety_stops,
    what text NOT NULL CONSTRAINT ck_decision_events_what CHECK (what ~ '^[a-z_]{1,40}$'),
    at timestamptz NOT NULL,
    actor_kind text NOT NULL,
    actor_id uuid,
    CONSTRAINT ck_decision_events_one CHECK (num_nonnulls(sign_off_id, stop_id) = 1)
);
CREATE INDEX ix_decision_events_sign_off_id ON decision_events (sign_off_id);
CREATE INDEX ix_decision_events_stop_id ON decision_events (stop_id);
CALL app_make_append_only('sign_off_wishes');
CALL app_make_append_only('sign_off_decisions');
CALL app_make_append_only('safety_stop_answers');
CALL app_make_append_only('decision_events');
"""

# What must hold whatever the application does: no decision is taken twice, the second look is
# somebody else's, and no hold is let go without somebody else's answer.
GUARDS = """
CREATE FUNCTION decisions_moves_on() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state <> OLD.state AND NOT (CASE OLD.state
        WHEN 'waiting' THEN true
        WHEN 'approved' THEN NEW.state IN ('superseded', 'withdrawn')
        WHEN 'declined' THEN NEW.state = 'approved' AND EXISTS (SELECT FROM challenges c
            WHERE c.sign_off_id = NEW.id AND c.outcome = 'changed'
                AND c.decided_by = NEW.decided_by)
        ELSE false END)
    THEN
        RAISE EXCEPTION 'a decision is taken once; a no changes only by looking again'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'decided_once';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER moves_on BEFORE UPDATE ON sign_offs
    FOR EACH ROW EXECUTE FUNCTION decisions_moves_on();
CREATE FUNCTION decisions_somebody_else() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF OLD.outcome IS NOT NULL OR (NEW.decided_by IS NOT NULL AND (
        EXISTS (SELECT FROM sign_off_decisions d
            WHERE d.sign_off_id = NEW.sign_off_id AND d.decided_by = NEW.decided_by)
        OR EXISTS (SELECT FROM challenges c
            WHERE c.sign_off_id = NEW.sign_off_id AND c.decided_by = NEW.decided_by)
        OR EXISTS (SELECT FROM sign_offs s LEFT JOIN people p ON p.id = s.person_id
            WHERE s.id = NEW.sign_off_id AND (NEW.decided_by IN (s.asked_by, p.account_id)
                OR NEW.decided_by = ANY (s.not_by)))))
    THEN
        RAISE EXCEPTION 'somebody else looks again, and once'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'somebody_else';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER somebody_else BEFORE UPDATE OF outcome, decided_by ON challenges
    FOR EACH ROW EXECUTE FUNCTION decisions_somebody_else();
CREATE FUNCTION decisions_stop_stays() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF (OLD.lifted_at IS NOT NULL AND NEW.lifted_at IS DISTINCT FROM OLD.lifted_at)
        OR (NEW.lifted_at IS NOT NULL AND NOT EXISTS (SELECT FROM safety_stop_answers a
            WHERE a.stop_id = NEW.id AND a.outcome = 'lifted' AND a.answered_by <> NEW.raised_by))
    THEN
        RAISE EXCEPTION 'a hold is let go by somebody''s answer'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'stop_stays';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER stop_stays BEFORE UPDATE ON safety_stops
    FOR EACH ROW EXECUTE FUNCTION decisions_stop_stays();
"""

# What is done for a slice above, which has settled whether it may be done: whoever lets a promise
# go, or a task, need not be somebody who may read the go-ahead. They tell ids and states alone.
# The guard's locks come first, in one order; its second statement then has a snapshot of its own,
# so that a stop that was waited for is seen.
CALLED = """
CREATE FUNCTION decisions_key(subject_type text, subject_id uuid) RETURNS bigint
LANGUAGE sql IMMUTABLE AS $$
    SELECT hashtextextended('stop ' || subject_type || ' ' || subject_id, 9)
$$;
CREATE FUNCTION decisions_guard(types text[], ids uuid[])
RETURNS TABLE (subject_type text, subject_id uuid, since timestamptz)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    key bigint;
BEGIN
    FOR key IN SELECT DISTINCT decisions_key(u.t, u.i) FROM unnest(types, ids) AS u (t, i)
        ORDER BY 1
    LOOP
        PERFORM pg_advisory_xact_lock_shared(key);
    END LOOP;
    RETURN QUERY SELECT s.subject_type, s.subject_id, min(s.raised_at) FROM safety_stops s
        JOIN unnest(types, ids) AS u (t, i) ON s.subject_type = u.t AND s.subject_id = u.i
        WHERE s.lifted_at IS NULL GROUP BY 1, 2 ORDER BY 3, 1, 2;
END $$;
CREATE FUNCTION decisions_states(types text[], ids uuid[])
RETURNS TABLE (subject_id uuid, sign_off_id uuid, state text, amount_pence bigint,
    decided_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT DISTINCT ON (s.subject_type, s.subject_id) s.subject_id, s.id, s.state,
        s.amount_pence, s.decided_at
    FROM sign_offs s JOIN unnest(types, ids) AS u (t, i)
        ON s.subject_type = u.t AND s.subject_id = u.i
    WHERE s.state <> 'superseded' AND app_actor_kind() IS NOT NULL
    ORDER BY s.subject_type, s.subject_id, coalesce(s.decided_at, s.asked_at) DESC, s.id DESC
$$;
CREATE FUNCTION decisions_happened(id uuid, whose uuid, what text) RETURNS void
LANGUAGE sql VOLATILE AS $$
    INSERT INTO decision_events (id, sign_off_id, what, at, actor_kind, actor_id)
        VALUES (id, whose, what, app_now(), app_actor_kind(), app_actor_id())
$$;
CREATE FUNCTION decisions_ask(p_id uuid, p_subject_type text, p_subject_id uuid, p_person uuid,
    p_area uuid, p_body text, p_about jsonb, p_amount bigint, p_due timestamptz, p_not_by uuid[],
    p_wish text) RETURNS uuid
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    stands sign_offs;
    more uuid[];
    by_account uuid := CASE app_actor_kind() WHEN 'person' THEN app_actor_id() END;
BEGIN
    IF app_actor_kind() IN ('person', 'code_holder', 'task') IS NOT TRUE THEN
        RAISE EXCEPTION 'nobody asks' USING ERRCODE = 'insufficient_privilege';
    END IF;
    PERFORM pg_advisory_xact_lock(
        hashtextextended('ask ' || p_subject_type || ' ' || p_subject_id, 9));
    SELECT s.* INTO stands FROM sign_offs s
        WHERE s.subject_type = p_subject_type AND s.subject_id = p_subject_id
            AND s.state IN ('waiting', 'approved')
        ORDER BY s.amount_pence DESC, s.asked_at DESC LIMIT 1;
    -- Whoever is to be paid now, or asks now, does not decide either; where somebody to be paid
    -- has decided already, it is asked anew.
    IF stands.id IS NOT NULL AND p_amount <= stands.amount_pence
        AND (stands.decided_by = ANY (p_not_by)) IS NOT TRUE
    THEN
        more := array_remove(p_not_by || CASE WHEN stands.state = 'waiting'
            AND by_account IS DISTINCT FROM stands.asked_by THEN by_account END, NULL);
        UPDATE sign_offs s SET not_by = ARRAY(SELECT DISTINCT unnest(s.not_by || more))
            WHERE s.id = stands.id AND NOT s.not_by @> more;
        RETURN stands.id;
    END IF;
    PERFORM decisions_happened(gen_random_uuid(), x.id, 'superseded') FROM sign_offs x
        WHERE x.subject_type = p_subject_type AND x.subject_id = p_subject_id
            AND x.state IN ('waiting', 'approved');
    UPDATE sign_offs s SET state = 'superseded'
        WHERE s.subject_type = p_subject_type AND s.subject_id = p_subject_id
            AND s.state IN ('waiting', 'approved');
    INSERT INTO sign_offs (id, subject_type, subject_id, person_id, area_id, body, about,
        amount_pence, not_by, asked_by, asked_at, due_at, state)
    VALUES (p_id, p_subject_type, p_subject_id, p_person, p_area, p_body, p_about, p_amount,
        p_not_by, by_account, app_now(), p_due, 'waiting');
    IF p_wish IS NOT NULL THEN
        INSERT INTO sign_off_wishes (id, sign_off_id, said_by, words, at)
            VALUES (gen_random_uuid(), p_id, by_account, p_wish, app_now());
    END IF;
    PERFORM decisions_happened(gen_random_uuid(), p_id, 'asked');
    RETURN p_id;
END $$;
CREATE FUNCTION decisions_withdraw(p_subject_type text, p_subject_id uuid) RETURNS SETOF uuid
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    one uuid;
BEGIN
    IF app_actor_kind() IN ('person', 'code_holder', 'task') IS NOT TRUE THEN
        RAISE EXCEPTION 'nobody withdraws' USING ERRCODE = 'insufficient_privilege';
    END IF;
    FOR one IN UPDATE sign_offs s SET state = 'withdrawn'
        WHERE s.subject_type = p_subject_type AND s.subject_id = p_subject_id
            AND s.state IN ('waiting', 'approved') RETURNING s.id
    LOOP
        PERFORM decisions_happened(gen_random_uuid(), one, 'withdrawn');
        RETURN NEXT one;
    END LOOP;
END $$;
"""

# Silence goes up to the manager. It never decides, and never lets go: all that is written is when.
SWEEP = """
CREATE FUNCTION decisions_sweep(at_once int) RETURNS int
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    found int;
BEGIN
    IF app_actor_kind() IS DISTINCT FROM 'task' THEN
        RETURN 0;
    END IF;
    WITH asked AS (
        UPDATE sign_offs SET escalated_at = app_now() WHERE id IN (SELECT s.id FROM sign_offs s
            WHERE s.state = 'waiting' AND s.escalated_at IS NULL AND s.due_at < app_now()
            ORDER BY s.due_at LIMIT at_once FOR UPDATE SKIP LOCKED)
        RETURNING id AS sign_off_id, NULL::uuid AS stop_id, 'escalated' AS what
    ), again AS (
        UPDATE challenges SET escalated_at = app_now() WHERE id IN (SELECT c.id FROM challenges c
            WHERE c.outcome IS NULL AND c.escalated_at IS NULL AND c.due_at < app_now()
            ORDER BY c.due_at LIMIT at_once FOR UPDATE SKIP LOCKED)
        RETURNING sign_off_id, NULL::uuid, 'look_again_escalated'
    ), held AS (
        UPDATE safety_stops SET escalated_at = app_now() WHERE id IN (SELECT s.id
            FROM safety_stops s WHERE s.answered_at IS NULL AND s.escalated_at IS NULL
                AND s.reply_due_at < app_now()
            ORDER BY s.reply_due_at LIMIT at_once FOR UPDATE SKIP LOCKED)
        RETURNING NULL::uuid, id, 'escalated'
    )
    INSERT INTO decision_events (id, sign_off_id, stop_id, what, at, actor_kind, actor_id)
    SELECT gen_random_uuid(), late.*, app_now(), app_actor_kind(), app_actor_id()
    FROM (TABLE asked UNION ALL TABLE again UNION ALL TABLE held) AS late;
    GET DIAGNOSTICS found = ROW_COUNT;
    RETURN found;
END $$;
REVOKE ALL ON FUNCTION decisions_happened FROM PUBLIC;
"""

# law.md 6: council staff sign council money, the NHS team NHS money, a charity's people its own;
# in the person's area, and as somebody who works with the person with their yes, or manages there
# (a charity's commissioners work with nobody: they decide what was asked of their charity).
# Nobody decides their own, what they asked for themselves, or what they would be paid by.
SIGNERS = """
CREATE FUNCTION decisions_people(body text) RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT a.person_id FROM assignments a
    JOIN account_roles r ON r.account_id = a.worker_account_id AND r.area_id = a.area_id
    WHERE app_actor_kind() = 'person' AND a.worker_account_id = app_actor_id()
        AND a.ended_at IS NULL AND a.agreed_at IS NOT NULL
        AND r.ended_at IS NULL AND r.role = 'professional' AND r.profession = ANY (CASE body
            WHEN 'council' THEN ARRAY['social_worker', 'occupational_therapist']
            WHEN 'nhs' THEN ARRAY['nurse', 'doctor', 'psychologist'] END)
$$;
CREATE FUNCTION decisions_may_sign(wanted uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT EXISTS (SELECT FROM sign_offs s WHERE s.id = wanted
        AND app_actor_kind() = 'person'
        AND s.asked_by IS DISTINCT FROM app_actor_id()
        AND app_actor_id() <> ALL (s.not_by)
        AND NOT EXISTS (SELECT FROM people p
            WHERE p.id = s.person_id AND p.account_id = app_actor_id())
        AND (s.area_id IN (SELECT app_areas_as('manager'))
            OR (s.body = 'charity' AND s.area_id IN (SELECT app_areas_as('commissioner')))
            OR s.person_id IN (SELECT decisions_people(s.body))))
$$;
"""

POLICIES = """
ALTER TABLE sign_offs ENABLE ROW LEVEL SECURITY;
CREATE POLICY seen ON sign_offs FOR SELECT TO kith_app
    USING (person_id = ANY (ARRAY(SELECT app_speaking_people()))
        OR asked_by = app_actor_id()
        OR area_id = ANY (ARRAY(SELECT app_areas_as('manager')))
        OR (body = 'charity' AND area_id = ANY (ARRAY(SELECT app_areas_as('commissioner'))))
        OR (body = 'council' AND person_id = ANY (ARRAY(SELECT decisions_people('council'))))
        OR (body = 'nhs' AND person_id = ANY (ARRAY(SELECT decisions_people('nhs')))));
CREATE POLICY decided ON sign_offs FOR UPDATE TO kith_app USING (decisions_may_sign(id));
ALTER TABLE sign_off_wishes ENABLE ROW LEVEL SECURITY;
CREATE POLICY beside_it ON sign_off_wishes FOR SELECT TO kith_app
    USING (EXISTS (SELECT FROM sign_offs s WHERE s.id = sign_off_id));
CREATE POLICY the_person ON sign_off_wishes FOR INSERT TO kith_app
    WITH CHECK (EXISTS (SELECT FROM sign_offs s WHERE s.id = sign_off_id
        AND s.person_id = ANY (ARRAY(SELECT app_speaking_people()))));
ALTER TABLE sign_off_decisions ENABLE ROW LEVEL SECURITY;
CREATE POLICY beside_it ON sign_off_decisions FOR SELECT TO kith_app
    USING (EXISTS (SELECT FROM sign_offs s WHERE s.id = sign_off_id));
CREATE POLICY signer ON sign_off_decisions FOR INSERT TO kith_app
    WITH CHECK (decided_by = app_actor_id() AND decisions_may_sign(sign_off_id));
ALTER TABLE challenges ENABLE ROW LEVEL SECURITY;
CREATE POLICY beside_it ON challenges FOR SELECT TO kith_app
    USING (EXISTS (SELECT FROM sign_offs s WHERE s.id = sign_off_id));
CREATE POLICY the_person ON challenges FOR INSERT TO kith_app
    WITH CHECK (outcome IS NULL AND EXISTS (SELECT FROM sign_offs s WHERE s.id = sign_off_id
        AND (s.asked_by = app_actor_id()
            OR s.person_id = ANY (ARRAY(SELECT app_speaking_people())))));
CREATE POLICY somebody_else ON challenges FOR UPDATE TO kith_app
    USING (challenged_decider <> app_actor_id() AND decisions_may_sign(sign_off_id));
ALTER TABLE safety_stops ENABLE ROW LEVEL SECURITY;
CREATE POLICY seen ON safety_stops FOR SELECT TO kith_app
    USING ((raised_by = app_actor_id() AND raised_by_kind = app_actor_kind())
        OR area_id = ANY (ARRAY(SELECT app_safeguarding_areas())));
CREATE POLICY anybody ON safety_stops FOR INSERT TO kith_app
    WITH CHECK (raised_by = app_actor_id() AND raised_by_kind = app_actor_kind());
CREATE POLICY answered ON safety_stops FOR UPDATE TO kith_app
    USING (raised_by <> app_actor_id()
        AND area_id = ANY (ARRAY(SELECT app_safeguarding_areas())));
ALTER TABLE safety_stop_answers ENABLE ROW LEVEL SECURITY;
CREATE POLICY beside_it ON safety_stop_answers FOR SELECT TO kith_app
    USING (EXISTS (SELECT FROM safety_stops s WHERE s.id = stop_id));
CREATE POLICY somebody_else ON safety_stop_answers FOR INSERT TO kith_app
    WITH CHECK (answered_by = app_actor_id() AND EXISTS (SELECT FROM safety_stops s
        WHERE s.id = stop_id AND s.raised_by <> app_actor_id()
            AND s.area_id = ANY (ARRAY(SELECT app_safeguarding_areas()))));
ALTER TABLE decision_events ENABLE ROW LEVEL SECURITY;
CREATE POLICY beside_it ON decision_events FOR SELECT TO kith_app
    USING (EXISTS (SELECT FROM sign_offs s WHERE s.id = sign_off_id)
        OR EXISTS (SELECT FROM safety_stops t WHERE t.id = stop_id));
CREATE POLICY happened ON decision_events FOR INSERT TO kith_app
    WITH CHECK (EXISTS (SELECT FROM sign_offs s WHERE s.id = sign_off_id)
        OR EXISTS (SELECT FROM safety_stops t WHERE t.id = stop_id));
GRANT SELECT, UPDATE (state, decided_at, decided_by) ON sign_offs TO kith_app;
GRANT SELECT, INSERT ON sign_off_wishes, sign_off_decisions, safety_stop_answers,
    decision_events TO kith_app;
GRANT SELECT, INSERT, UPDATE (outcome, answer, decided_by, decided_by_called, decided_at)
    ON challenges TO kith_app;
GRANT SELECT, INSERT, UPDATE (answered_at, lifted_at) ON safety_stops TO kith_app;
"""

# A worry says what it is about; and law.md 3: the adult at risk is asked what they want and told,
# unless the lead writes down why not. That record is for those who protect, and for nobody whose
# account the worry came from.
WORRIES = """
ALTER TABLE enquiries ADD COLUMN about_type text CONSTRAINT ck_enquiries_about_type
    CHECK (about_type ~ '^[a-z_]{1,40}$');
ALTER TABLE enquiries ADD COLUMN about_id uuid;
ALTER TABLE enquiries ADD CONSTRAINT ck_enquiries_about
    CHECK ((about_type IS NULL) = (about_id IS NULL));
CREATE TABLE enquiry_lead_notes (
    id uuid CONSTRAINT pk_enquiry_lead_notes PRIMARY KEY,
    enquiry_id uuid NOT NULL CONSTRAINT fk_enquiry_lead_notes_enquiry_id REFERENCES enquiries,
    step text NOT NULL CONSTRAINT ck_enquiry_lead_notes_step
        CHECK (step IN ('asked_wish', 'told', 'not_told')),
    words text CONSTRAINT ck_enquiry_lead_notes_words
        CHECK (length(words) BETWEEN 1 AND 2000 AND words ~ '[^[:space:]]'),
    account_id uuid NOT NULL CONSTRAINT fk_enquiry_lead_notes_account_id REFERENCES accounts,
    at timestamptz NOT NULL,
    CONSTRAINT ck_enquiry_lead_notes_why_not CHECK (step <> 'not_told' OR words IS NOT NULL)
);
CREATE INDEX ix_enquiry_lead_notes_enquiry_id_id ON enquiry_lead_notes (enquiry_id, id);
CALL app_make_append_only('enquiry_lead_notes');
ALTER TABLE enquiry_lead_notes ENABLE ROW LEVEL SECURITY;
CREATE POLICY lead ON enquiry_lead_notes FOR SELECT TO kith_app
    USING (EXISTS (SELECT FROM enquiries e WHERE e.id = enquiry_id
        AND e.account_id IS DISTINCT FROM app_actor_id()
        AND e.area_id = ANY (ARRAY(SELECT app_safeguarding_areas()))));
CREATE POLICY lead_writes ON enquiry_lead_notes FOR INSERT TO kith_app
    WITH CHECK (account_id = app_actor_id() AND EXISTS (SELECT FROM enquiries e
        WHERE e.id = enquiry_id AND e.account_id IS DISTINCT FROM app_actor_id()
        AND e.area_id = ANY (ARRAY(SELECT app_safeguarding_areas()))));
GRANT SELECT, INSERT ON enquiry_lead_notes TO kith_app;
"""

DOWN = """
DROP TABLE enquiry_lead_notes;
ALTER TABLE enquiries DROP COLUMN about_type, DROP COLUMN about_id;
DROP TABLE decision_events, safety_stop_answers, safety_stops, challenges, sign_off_decisions,
    sign_off_wishes, sign_offs CASCADE;
DROP FUNCTION decisions_may_sign, decisions_people, decisions_sweep, decisions_withdraw,
    decisions_ask, decisions_happened, decisions_states, decisions_guard, decisions_key,
    decisions_stop_stays, decisions_somebody_else, decisions_moves_on;
"""


def upgrade() -> None:
    """Make decisions, and what a worry is about."""
    for statements in (SIGN_OFFS, STOPS, GUARDS, CALLED, SWEEP, SIGNERS, POLICIES, WORRIES):
        op.execute(statements)


def downgrade() -> None:
    """Take decisions away."""
    op.execute(DOWN)
