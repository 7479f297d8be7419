"""The ledger: accounts, transfers, holds, and the one function that moves money.

Nobody but that function changes a balance: the application may execute it and read. On the way of
a posting there are no foreign keys, no row triggers and few checks: accounts are never deleted,
the records only grow, and the function looks at each account under a lock before it names it.
api.ledger.invariants counts after it.
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# A posting changes only what no index holds (HOT): hence the room on a page of accounts.
# A transfer is one row with both its postings, so that neither can be without the other.
TABLES = """
CREATE TABLE ledger_accounts (
    id uuid CONSTRAINT pk_ledger_accounts PRIMARY KEY,
    kind text NOT NULL,
    owner_key text NOT NULL,
    source_key text NOT NULL,
    currency text NOT NULL DEFAULT 'GBP',
    may_go_negative boolean NOT NULL,
    opened_at timestamptz NOT NULL,
    closed_at timestamptz,
    balance_pence bigint NOT NULL DEFAULT 0,
    held_pence bigint NOT NULL DEFAULT 0,
    version bigint NOT NULL DEFAULT 0,
    CONSTRAINT ck_ledger_accounts_available CHECK (held_pence >= 0
        AND (may_go_negative OR balance_pence >= held_pence))
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);
CREATE UNIQUE INDEX uq_ledger_accounts_open ON ledger_accounts (kind, owner_key, source_key)
    WHERE closed_at IS NULL;
CREATE INDEX ix_ledger_accounts_source_key ON ledger_accounts (source_key);
CREATE TABLE ledger_operations (
    id uuid CONSTRAINT pk_ledger_operations PRIMARY KEY,
    key text NOT NULL,
    request_hash bytea NOT NULL,
    code text NOT NULL,
    actor_kind text NOT NULL,
    actor_id uuid,
    correlation_id uuid,
    at timestamptz NOT NULL,
    ids uuid[] NOT NULL,
    available_pence bigint[] NOT NULL
);
CREATE TABLE ledger_transfers (
    id uuid CONSTRAINT pk_ledger_transfers PRIMARY KEY,
    operation_id uuid NOT NULL,
    debit_id uuid NOT NULL,
    debit_version bigint NOT NULL,
    debit_balance_pence bigint NOT NULL,
    credit_id uuid NOT NULL,
    credit_version bigint NOT NULL,
    credit_balance_pence bigint NOT NULL,
    amount_pence bigint NOT NULL,
    hold_id uuid,
    reverses_id uuid,
    at timestamptz NOT NULL,
    CONSTRAINT uq_ledger_transfers_debit_id_debit_version UNIQUE (debit_id, debit_version),
    CONSTRAINT uq_ledger_transfers_credit_id_credit_version UNIQUE (credit_id, credit_version),
    CONSTRAINT ck_ledger_transfers_amount_pence
        CHECK (amount_pence BETWEEN 1 AND 100000000000)
);
CREATE UNIQUE INDEX uq_ledger_transfers_reverses_id ON ledger_transfers (reverses_id)
    WHERE reverses_id IS NOT NULL;
CREATE VIEW ledger_postings WITH (security_invoker = true) AS
    SELECT debit_id AS account_id, debit_version AS version, id AS transfer_id,
        -amount_pence AS amount_pence, debit_balance_pence + amount_pence AS previous_pence,
        debit_balance_pence AS balance_pence, credit_id AS other_id, operation_id, at
    FROM ledger_transfers
    UNION ALL
    SELECT credit_id, credit_version, id, amount_pence, credit_balance_pence - amount_pence,
        credit_balance_pence, debit_id, operation_id, at
    FROM ledger_transfers;
CREATE TABLE ledger_holds (
    id uuid CONSTRAINT pk_ledger_holds PRIMARY KEY,
    operation_id uuid NOT NULL,
    account_id uuid NOT NULL,
    amount_pence bigint NOT NULL,
    expires_at timestamptz,
    at timestamptz NOT NULL,
    ended_at timestamptz
);
CREATE INDEX ix_ledger_holds_account_id_id ON ledger_holds (account_id, id)
    WHERE ended_at IS NULL;
CREATE INDEX ix_ledger_holds_expires_at_id ON ledger_holds (expires_at, id)
    WHERE ended_at IS NULL AND expires_at IS NOT NULL;
CREATE TABLE ledger_hold_ends (
    hold_id uuid CONSTRAINT pk_ledger_hold_ends PRIMARY KEY,
    operation_id uuid NOT NULL,
    kind text NOT NULL,
    amount_pence bigint NOT NULL,
    transfer_id uuid,
    at timestamptz NOT NULL,
    CONSTRAINT ck_ledger_hold_ends_kind CHECK (kind IN ('posted', 'released', 'expired')
        AND (kind = 'posted') = (transfer_id IS NOT NULL))
);
CALL app_make_append_only('ledger_operations');
CALL app_make_append_only('ledger_transfers');
CALL app_make_append_only('ledger_hold_ends');
GRANT SELECT ON ledger_accounts, ledger_operations, ledger_transfers, ledger_postings,
    ledger_holds, ledger_hold_ends TO kith_app;
"""

# Not even the owner deletes an account or a hold, or makes it another one. What a posting sets is
# not among these columns, so that a posting meets no trigger but where a hold ends.
STAYS = """
CREATE FUNCTION ledger_account_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF (NEW.kind ~ '^[a-z][a-z_]{0,30}$' AND NEW.owner_key ~ '^[A-Za-z0-9:_.-]{1,120}$'
            AND NEW.source_key ~ '^[A-Za-z0-9:_.-]{1,120}$' AND NEW.currency = 'GBP'
            AND (NEW.kind = 'source' OR NOT NEW.may_go_negative) AND NEW.closed_at IS NULL
            AND NEW.balance_pence = 0 AND NEW.held_pence = 0 AND NEW.version = 0) IS NOT TRUE
        THEN
            RAISE EXCEPTION 'an account opens empty, under codes, and only a source may owe'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_account_form';
        END IF;
    ELSIF TG_OP <> 'UPDATE' OR OLD.closed_at IS NOT NULL OR row(NEW.id, NEW.kind, NEW.owner_key,
        NEW.source_key, NEW.currency, NEW.may_go_negative, NEW.opened_at) <> row(OLD.id, OLD.kind,
        OLD.owner_key, OLD.source_key, OLD.currency, OLD.may_go_negative, OLD.opened_at)
    THEN
        RAISE EXCEPTION 'an account stays what it is, and closed once closed: % is refused', TG_OP
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER stays_row BEFORE INSERT OR DELETE OR UPDATE OF id, kind, owner_key, source_key,
    currency, may_go_negative, opened_at, closed_at ON ledger_accounts
    FOR EACH ROW EXECUTE FUNCTION ledger_account_stays();
CREATE TRIGGER stays_table BEFORE TRUNCATE ON ledger_accounts
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_account_stays();
CREATE FUNCTION ledger_hold_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'UPDATE' OR OLD.ended_at IS NOT NULL OR row(NEW.id, NEW.operation_id,
        NEW.account_id, NEW.amount_pence, NEW.expires_at, NEW.at) IS DISTINCT FROM row(OLD.id,
        OLD.operation_id, OLD.account_id, OLD.amount_pence, OLD.expires_at, OLD.at)
    THEN
        RAISE EXCEPTION 'a hold ends once and is otherwise what it was: % is refused', TG_OP
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER stays_row BEFORE DELETE OR UPDATE ON ledger_holds
    FOR EACH ROW EXECUTE FUNCTION ledger_hold_stays();
CREATE TRIGGER stays_table BEFORE TRUNCATE ON ledger_holds
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_hold_stays();
CREATE FUNCTION ledger_refuse(code text, rule text, facts jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%', rule USING ERRCODE = code, DETAIL = facts::text;
END $$;
CREATE FUNCTION ledger_told() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF app_now() IS NULL OR app_actor_kind() IS NULL THEN
        PERFORM ledger_refuse('KL000', 'malformed', '{}');
    END IF;
END $$;
"""

# Opening and closing move nothing. An open account is found by kind, owner and source, so that
# opening twice is opening once. One that is closed between the two statements is opened anew.
ACCOUNTS = """
CREATE FUNCTION ledger_open(p_ids uuid[], p_kinds text[], p_owner_keys text[],
    p_source_keys text[], p_negative boolean[])
RETURNS uuid[] LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    found uuid[];
    differs uuid;
BEGIN
    PERFORM ledger_told();
    FOR attempt IN 1 .. 4 LOOP
        INSERT INTO ledger_accounts (id, kind, owner_key, source_key, may_go_negative, opened_at)
        SELECT o.id, o.kind, o.owner_key, o.source_key, o.negative, app_now()
        FROM unnest(p_ids, p_kinds, p_owner_keys, p_source_keys, p_negative)
            AS o (id, kind, owner_key, source_key, negative)
        ORDER BY o.kind, o.owner_key, o.source_key
        ON CONFLICT (kind, owner_key, source_key) WHERE closed_at IS NULL DO NOTHING;
        SELECT array_agg(a.id ORDER BY o.n),
            (array_agg(a.id) FILTER (WHERE a.may_go_negative <> o.negative))[1]
        INTO found, differs
        FROM unnest(p_kinds, p_owner_keys, p_source_keys, p_negative) WITH ORDINALITY
            AS o (kind, owner_key, source_key, negative, n)
        JOIN ledger_accounts a ON a.kind = o.kind AND a.owner_key = o.owner_key
            AND a.source_key = o.source_key AND a.closed_at IS NULL;
        EXIT WHEN cardinality(found) = cardinality(p_ids);
    END LOOP;
    IF (cardinality(found) = cardinality(p_ids)) IS NOT TRUE THEN
        RAISE EXCEPTION 'accounts were closed while they were opened'
            USING ERRCODE = 'serialization_failure';
    ELSIF differs IS NOT NULL THEN
        PERFORM ledger_refuse('KL016', 'account-differs', jsonb_build_object('account', differs));
    END IF;
    RETURN found;
END $$;
CREATE FUNCTION ledger_close(p_account uuid) RETURNS timestamptz
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    a record;
BEGIN
    PERFORM ledger_told();
    SELECT balance_pence, held_pence, closed_at INTO a FROM ledger_accounts
    WHERE id = p_account FOR UPDATE;
    IF NOT FOUND THEN
        PERFORM ledger_refuse('KL003', 'account-unknown', jsonb_build_object('id', p_account));
    ELSIF a.closed_at IS NOT NULL THEN
        RETURN a.closed_at;
    ELSIF a.balance_pence <> 0 OR a.held_pence <> 0 THEN
        PERFORM ledger_refuse('KL014', 'account-not-empty', jsonb_build_object('account',
            p_account, 'balance', a.balance_pence, 'held', a.held_pence));
    END IF;
    UPDATE ledger_accounts SET closed_at = app_now() WHERE id = p_account;
    RETURN app_now();
END $$;
"""

# One line of a batch is a kind, what it starts from, where it goes, how much, and until when:
#   transfer  debit account     credit account  pence
#   hold      account           -               pence           until (NULL: until it is ended)
#   post      hold              credit account  pence or NULL (the whole; a part frees the rest)
#   release   hold
#   expire    hold: does nothing if it was ended before, or its account is closed
#   reverse   transfer
# All lines happen, in order, or none. The accounts are locked once, in the order of their ids,
# and kept in arrays (a_*), where a line finds its account by position; rows gather in arrays too
# and go in with one statement a table. The operation comes last: whoever used its key at the same
# moment with the same lines stood before us at the locks; with other lines, is met there.
# What goes well takes few expressions, since each costs as much as a row: reasons are looked for
# only when a line is refused (ledger_refuse_line). For the same reason the audit row and a row of
# the outbox are written here. Ids are UUIDv7 of the time that Kith was told, of key and lines.
POST = """
CREATE FUNCTION ledger_stem(at timestamptz, digest text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7'
        || substr(digest, 1, 3) || '8' || substr(digest, 4, 12)
$$;
CREATE FUNCTION ledger_post(
    p_key text, p_hash bytea, p_code text, p_correlation uuid, p_subject_type text,
    p_subject_id uuid, p_task text, p_payload jsonb,
    p_kinds text[], p_from uuid[], p_to uuid[], p_pence bigint[], p_until timestamptz[],
    OUT again boolean, OUT ids uuid[], OUT available_pence bigint[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_variable
DECLARE
    v_now timestamptz := app_now();
    v_op uuid := left(encode(sha256(convert_to(p_key, 'UTF8')), 'hex'), 32)::uuid;
    v_stem text := ledger_stem(v_now, encode(sha256(p_hash || v_op::text::bytea), 'hex'));
    n int := cardinality(p_kinds);
    v_special boolean := p_kinds && '{post,release,expire,reverse}';
    v_ref uuid[]; v_held bigint[]; v_until timestamptz[]; v_open uuid[]; v_taken uuid[];
    a_id uuid[]; a_balance bigint[]; a_held bigint[]; a_version bigint[];
    a_negative boolean[]; a_closed boolean[]; a_source text[];
    moved ledger_transfers[]; held ledger_holds[]; ended ledger_hold_ends[];
    seen record;
    kind text; pence bigint; one uuid; d int; c int;
BEGIN
    IF (v_now IS NOT NULL AND app_actor_kind() IS NOT NULL AND p_hash IS NOT NULL
        AND length(p_key) BETWEEN 1 AND 200 AND length(p_code) BETWEEN 1 AND 64
        AND (p_subject_type IS NULL) = (p_subject_id IS NULL)
        AND n BETWEEN 1 AND 999 AND cardinality(p_from) = n AND cardinality(p_to) = n
        AND cardinality(p_pence) = n AND cardinality(p_until) = n) IS NOT TRUE
    THEN
        PERFORM ledger_refuse('KL000', 'malformed', jsonb_build_object('lines', n));
    END IF;
    IF v_special THEN
        v_ref := p_from;
        SELECT array_agg(CASE WHEN l.kind IN ('transfer', 'hold') THEN l.f
                WHEN l.kind = 'reverse' THEN x.credit_id ELSE h.account_id END ORDER BY l.n),
            array_agg(CASE WHEN l.kind = 'reverse' THEN x.debit_id ELSE l.t END ORDER BY l.n),
            array_agg(CASE WHEN l.kind IN ('transfer', 'hold') THEN l.pence
                WHEN l.kind = 'reverse' THEN x.amount_pence
                WHEN l.kind = 'post' THEN coalesce(l.pence, h.amount_pence)
                ELSE h.amount_pence END ORDER BY l.n),
            array_agg(h.amount_pence ORDER BY l.n), array_agg(h.expires_at ORDER BY l.n),
            array_agg(x.id) FILTER (WHERE x.reverses_id IS NOT NULL)
        INTO p_from, p_to, p_pence, v_held, v_until, v_taken
        FROM unnest(p_kinds, v_ref, p_to, p_pence) WITH ORDINALITY AS l (kind, f, t, pence, n)
        LEFT JOIN ledger_holds h ON h.id = l.f AND l.kind IN ('post', 'release', 'expire')
        LEFT JOIN ledger_transfers x ON x.id = l.f AND l.kind = 'reverse';
    END IF;

    SELECT array_agg(a.id), array_agg(a.balance_pence), array_agg(a.held_pence),
        array_agg(a.version), array_agg(a.may_go_negative), array_agg(a.closed_at IS NOT NULL),
        array_agg(a.source_key)
    INTO a_id, a_balance, a_held, a_version, a_negative, a_closed, a_source
    FROM (SELECT x.id, x.balance_pence, x.held_pence, x.version, x.may_go_negative, x.closed_at,
            x.source_key FROM ledger_accounts x
        WHERE x.id = ANY (p_from || p_to) ORDER BY x.id FOR NO KEY UPDATE) a;
    SELECT o.request_hash, o.ids, o.available_pence INTO seen
    FROM ledger_operations o WHERE o.id = v_op;
    again := FOUND;
    IF again THEN
        IF seen.request_hash <> p_hash THEN
            PERFORM ledger_refuse('KL002', 'key-reused', '{}');
        END IF;
        ids := seen.ids;
        available_pence := seen.available_pence;
        RETURN;
    END IF;
    IF v_special THEN
        v_open := ARRAY(SELECT h.id FROM ledger_holds h
            WHERE h.id = ANY (v_ref) AND h.ended_at IS NULL);
        v_taken := v_taken || ARRAY(SELECT x.reverses_id FROM ledger_transfers x
            WHERE x.reverses_id = ANY (v_ref));
    END IF;

    FOR i IN 1 .. n LOOP
        kind := p_kinds[i];
        pence := p_pence[i];
        d := array_position(a_id, p_from[i]);
        IF NOT v_special THEN
            NULL;
        ELSIF kind IN ('post', 'release', 'expire') THEN
            IF kind = 'expire' AND (a_closed[d] OR NOT v_ref[i] = ANY (v_open)) THEN
                ids := ids || NULL::uuid;
                available_pence := available_pence || NULL::bigint;
                CONTINUE;
            ELSIF (NOT a_closed[d] AND v_ref[i] = ANY (v_open) AND pence <= v_held[i]
                AND CASE kind WHEN 'post' THEN coalesce(v_until[i] > v_now, true)
                    WHEN 'expire' THEN v_until[i] <= v_now ELSE true END) IS NOT TRUE
            THEN
                PERFORM ledger_refuse_hold(i, kind, v_ref[i], v_held[i], pence,
                    a_closed[d], v_ref[i] = ANY (v_open), v_until[i] <= v_now);
            END IF;
            v_open := array_remove(v_open, v_ref[i]);
            a_held[d] := a_held[d] - v_held[i];
        ELSIF kind = 'reverse' THEN
            IF v_ref[i] = ANY (v_taken) OR d IS NULL THEN
                PERFORM ledger_refuse(CASE WHEN d IS NULL THEN 'KL003' ELSE 'KL009' END,
                    CASE WHEN d IS NULL THEN 'transfer-unknown' ELSE 'reversed-already' END,
                    jsonb_build_object('line', i, 'transfer', v_ref[i]));
            END IF;
            v_taken := v_taken || v_ref[i];
        END IF;

        IF kind IN ('transfer', 'post', 'reverse') THEN
            c := array_position(a_id, p_to[i]);
            IF (d <> c AND a_source[d] = a_source[c] AND NOT a_closed[d] AND NOT a_closed[c]
                AND pence BETWEEN 1 AND 100000000000
                AND (a_balance[d] - a_held[d] >= pence OR a_negative[d])
                AND a_balance[d] - a_held[d] - pence >= -1000000000000000
                AND a_balance[c] + pence <= 1000000000000000) IS NOT TRUE
            THEN
                PERFORM ledger_refuse_line(i, kind, p_from[i], p_to[i], pence,
                    a_balance[d] - a_held[d], a_negative[d], a_closed[d], a_closed[c],
                    d = c OR a_source[d] <> a_source[c]);
            END IF;
            one := (v_stem || lpad(i::text, 3, '0'))::uuid;
            a_balance[d] := a_balance[d] - pence;
            a_balance[c] := a_balance[c] + pence;
            a_version[d] := a_version[d] + 1;
            a_version[c] := a_version[c] + 1;
            moved := moved || row(one, v_op, a_id[d], a_version[d], a_balance[d], a_id[c],
                a_version[c], a_balance[c], pence, CASE kind WHEN 'post' THEN v_ref[i] END,
                CASE kind WHEN 'reverse' THEN v_ref[i] END, v_now)::ledger_transfers;
        ELSIF kind = 'hold' THEN
            IF (NOT a_closed[d] AND pence BETWEEN 1 AND 100000000000
                AND (a_balance[d] - a_held[d] >= pence OR a_negative[d])
                AND a_balance[d] - a_held[d] - pence >= -1000000000000000
                AND coalesce(p_until[i] > v_now, true)) IS NOT TRUE
            THEN
                PERFORM ledger_refuse_line(i, kind, p_from[i], NULL, pence,
                    a_balance[d] - a_held[d], a_negative[d], a_closed[d], false, false);
            END IF;
            one := (v_stem || lpad(i::text, 3, '0'))::uuid;
            a_held[d] := a_held[d] + pence;
            held := held || row(one, v_op, a_id[d], pence, p_until[i], v_now,
                NULL)::ledger_holds;
        ELSIF kind IN ('release', 'expire') THEN
            one := v_ref[i];
        ELSE
            PERFORM ledger_refuse('KL000', 'malformed', jsonb_build_object('line', i));
        END IF;
        IF v_special AND kind IN ('post', 'release', 'expire') THEN
            ended := ended || row(v_ref[i], v_op, CASE kind WHEN 'post' THEN 'posted'
                WHEN 'release' THEN 'released' ELSE 'expired' END, pence,
                CASE kind WHEN 'post' THEN one END, v_now)::ledger_hold_ends;
        END IF;
        ids := ids || one;
        available_pence := available_pence || (a_balance[d] - a_held[d]);
    END LOOP;

    IF moved IS NOT NULL THEN
        INSERT INTO ledger_transfers SELECT * FROM unnest(moved);
    END IF;
    IF held IS NOT NULL THEN
        INSERT INTO ledger_holds SELECT * FROM unnest(held);
    END IF;
    IF ended IS NOT NULL THEN
        INSERT INTO ledger_hold_ends SELECT * FROM unnest(ended);
        UPDATE ledger_holds h SET ended_at = v_now FROM unnest(ended) AS e
        WHERE h.id = e.hold_id;
    END IF;
    UPDATE ledger_accounts a SET balance_pence = x.balance, held_pence = x.held,
        version = x.version
    FROM unnest(a_id, a_balance, a_held, a_version) AS x (id, balance, held, version)
    WHERE a.id = x.id AND (a.version <> x.version OR a.held_pence <> x.held);
    INSERT INTO ledger_operations (id, key, request_hash, code, actor_kind, actor_id,
        correlation_id, at, ids, available_pence)
    VALUES (v_op, p_key, p_hash, p_code, app_actor_kind(), app_actor_id(), p_correlation, v_now,
        ids, available_pence)
    ON CONFLICT (id) DO NOTHING;
    IF NOT FOUND THEN
        PERFORM ledger_refuse('KL002', 'key-reused', '{}');
    END IF;
    INSERT INTO audit_entries (id, at, actor_kind, actor_id, action, subject_type, subject_id,
        correlation_id)
    VALUES ((v_stem || 'aaa')::uuid, v_now, app_actor_kind(), app_actor_id(), p_code,
        coalesce(p_subject_type, 'ledger_operation'), coalesce(p_subject_id, v_op),
        p_correlation);
    IF p_task IS NOT NULL THEN
        INSERT INTO outbox (id, task, payload, correlation_id, created_at, not_before)
        VALUES ((v_stem || 'bbb')::uuid, p_task, p_payload, coalesce(p_correlation, v_op), v_now,
            v_now);
    END IF;
END $$;
"""

# Why a line was refused. The first reason that holds is named; the service puts it in words.
REASONS = """
CREATE FUNCTION ledger_refuse_line(line int, kind text, debit uuid, credit uuid, asked bigint,
    available bigint, negative boolean, debit_closed boolean, credit_closed boolean,
    apart boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM ledger_refuse(why.code, why.rule, jsonb_build_object('line', line, 'account',
        CASE WHEN debit_closed IS NULL OR debit_closed THEN debit
            WHEN credit_closed IS NULL OR credit_closed THEN credit ELSE debit END,
        'asked', asked, 'available', available))
    FROM (SELECT * FROM (VALUES
        ('KL012', 'amount-out-of-bounds', coalesce(asked NOT BETWEEN 1 AND 100000000000, true)),
        ('KL003', 'account-unknown', debit_closed IS NULL OR credit_closed IS NULL),
        ('KL004', 'account-closed', debit_closed OR credit_closed),
        ('KL011', 'between-sources', apart),
        ('KL001', 'not-enough', available < asked AND NOT negative),
        ('KL007', 'hold-expired', kind = 'hold' AND (NOT negative
            OR available::numeric - asked >= -1000000000000000)),
        ('KL013', 'balance-out-of-bounds', true)) AS v (code, rule, holds)
        WHERE v.holds LIMIT 1) AS why;
END $$;
CREATE FUNCTION ledger_refuse_hold(line int, kind text, hold uuid, held bigint, asked bigint,
    closed boolean, is_open boolean, due boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM ledger_refuse(why.code, why.rule, jsonb_build_object('line', line, 'hold', hold,
        'held', held, 'asked', asked))
    FROM (SELECT * FROM (VALUES
        ('KL003', 'hold-unknown', held IS NULL),
        ('KL005', 'hold-ended', NOT is_open),
        ('KL004', 'account-closed', closed),
        ('KL007', 'hold-expired', kind = 'post' AND due),
        ('KL017', 'hold-not-due', kind = 'expire'),
        ('KL008', 'more-than-held', true)) AS v (code, rule, holds)
        WHERE v.holds LIMIT 1) AS why;
END $$;
"""

# Which holds are due is looked up without locks; the posting looks again under its own.
EXPIRE = """
CREATE FUNCTION ledger_expire(p_key text, p_code text, p_correlation uuid, p_limit int)
RETURNS int LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    due uuid[];
    blank text[];
    v_hash bytea := sha256(convert_to('expire ' || p_limit, 'UTF8'));
    v_op uuid := encode(substr(sha256(convert_to(p_key, 'UTF8')), 1, 16), 'hex')::uuid;
    seen record;
BEGIN
    SELECT o.request_hash, o.ids INTO seen FROM ledger_operations o WHERE o.id = v_op;
    IF FOUND THEN
        IF seen.request_hash <> v_hash THEN
            PERFORM ledger_refuse('KL002', 'key-reused', '{}');
        END IF;
        RETURN cardinality(array_remove(seen.ids, NULL));
    END IF;
    due := ARRAY(SELECT h.id FROM ledger_holds h
        JOIN ledger_accounts a ON a.id = h.account_id AND a.closed_at IS NULL
        WHERE h.ended_at IS NULL AND h.expires_at <= app_now()
        ORDER BY h.expires_at, h.id LIMIT least(p_limit, 999));
    IF cardinality(due) = 0 THEN
        RETURN 0;
    END IF;
    blank := array_fill(NULL::text, ARRAY[cardinality(due)]);
    RETURN (SELECT cardinality(array_remove(p.ids, NULL)) FROM ledger_post(p_key, v_hash, p_code,
        p_correlation, NULL, NULL, NULL, NULL, array_fill('expire'::text, ARRAY[cardinality(due)]),
        due, blank::uuid[], blank::bigint[], blank::timestamptz[]) p);
END $$;
REVOKE ALL ON FUNCTION ledger_post, ledger_expire, ledger_open, ledger_close, ledger_refuse,
    ledger_refuse_line, ledger_refuse_hold, ledger_told, ledger_stem, ledger_account_stays,
    ledger_hold_stays FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger_post, ledger_expire, ledger_open, ledger_close TO kith_app;
"""

DOWN = """
DROP FUNCTION ledger_expire, ledger_post, ledger_stem, ledger_close, ledger_open,
    ledger_refuse_hold, ledger_refuse_line, ledger_told, ledger_refuse;
DROP VIEW ledger_postings;
DROP TABLE ledger_hold_ends, ledger_holds, ledger_transfers, ledger_operations, ledger_accounts;
DROP FUNCTION ledger_hold_stays, ledger_account_stays;
"""


def upgrade() -> None:
    """Make the ledger."""
    for statements in (TABLES, STAYS, ACCOUNTS, REASONS, POST, EXPIRE):
        op.execute(statements)


def downgrade() -> None:
    """Take the ledger away."""
    op.execute(DOWN)
