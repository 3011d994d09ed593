-- What a job may have, checked before it is inserted, so that an error says in words which field breaks which rule.
-- Repeatable: applied again whenever this text changes; a change of a signature needs a migration.
--
-- The constraints of jobs have the same rules, for a plain INSERT and COPY too. An error here has the SQLSTATE and the
-- name of the constraint that the job would violate. JobRequest.swift has the same sentences.
--
-- An enqueue function asks are_valid_options and are_visible once, and are_valid_details for each line. They are
-- standard SQL and pin no search_path, so the planner puts them into the calling statement. Only what they do not
-- accept costs a call: the functions after them know the rules exactly, and raise the error.

-- The characters that make an id look like another one, as a regular expression: control characters, invisible ones,
-- and white space other than a space. The constraint jobs_ids_visible and HiddenCharacters.swift have the same.
CREATE OR REPLACE FUNCTION :"schema".hidden_characters() RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN E'[\\u0001-\\u001f\\u007f-\\u00a0\\u00ad\\u034f\\u061c\\u115f\\u1160\\u1680\\u17b4\\u17b5'
    || E'\\u180b-\\u180f\\u2000-\\u200f\\u2028-\\u202f\\u205f-\\u206f\\u2800\\u3000\\u3164\\ufe00-\\ufe0f'
    || E'\\ufeff\\uffa0\\ufff0-\\ufffb\\U0001bca0-\\U0001bca3\\U0001d173-\\U0001d17a\\U000e0000-\\U000e0fff]';

-- Whether ids, joined with `|`, have no such character and no space at an end. Ids with a space beside a `|` have to be
-- looked at one by one. A call of a regular expression costs more than the characters that it reads, so a list is
-- joined. The first expression answers for printable ASCII.
CREATE OR REPLACE FUNCTION :"schema".are_visible(ids text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ids !~ '[^!-~]' OR ids !~ (E'^ | $|\\| | \\||' || :"schema".hidden_characters());

-- Whether all lines of a call may have these values; false or null where one of them has to be looked at. A time beyond
-- 400 days is: an administrator may have allowed it.
CREATE OR REPLACE FUNCTION :"schema".are_valid_options(
    store_id text, group_id text, priority integer, run_at timestamptz, expires_at timestamptz, ordering_key text,
    max_attempts integer
) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN octet_length(store_id) BETWEEN 1 AND 200 AND :"schema".are_visible(store_id)
    AND (group_id IS NULL OR octet_length(group_id) BETWEEN 1 AND 200 AND ordering_key IS NULL)
    AND (ordering_key IS NULL OR octet_length(ordering_key) BETWEEN 1 AND 200)
    AND (priority IS NULL OR priority BETWEEN 1 AND 4)
    AND (max_attempts IS NULL OR max_attempts BETWEEN 1 AND 1000)
    AND (run_at IS NULL OR isfinite(run_at) AND run_at <= now() + interval '9600 hours')
    AND (expires_at IS NULL OR expires_at <= now() + interval '9600 hours');

-- Whether a line may have these values besides its item and its quantity.
CREATE OR REPLACE FUNCTION :"schema".are_valid_details(
    action text, location_id text, on_insufficient text, idempotency_key text, reference text, reason text,
    counted_at timestamptz, actor text, occurred_at timestamptz, metadata jsonb
) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN (action IS NULL OR action IN ('adjust', 'allocate', 'deallocate', 'ship', 'set'))
    AND (location_id IS NULL OR octet_length(location_id) BETWEEN 1 AND 200)
    AND (on_insufficient IS NULL OR on_insufficient = 'reject' OR on_insufficient = 'allow' AND action = 'set'
        OR on_insufficient IN ('allow', 'partial', 'wait') AND (action IS NULL OR action IN ('adjust', 'allocate')))
    AND (idempotency_key IS NULL OR octet_length(idempotency_key) BETWEEN 1 AND 200)
    AND (reference IS NULL OR octet_length(reference) <= 2000)
    AND (reason IS NULL OR octet_length(reason) <= 2000)
    AND (counted_at IS NULL OR action = 'set' AND counted_at <= now() + interval '5 minutes')
    AND (actor IS NULL OR octet_length(actor) BETWEEN 1 AND 200)
    AND (occurred_at IS NULL OR isfinite(occurred_at))
    AND (metadata IS NULL OR jsonb_typeof(metadata) = 'object' AND octet_length(metadata::text) <= 10000);

-- Raises an error for a text that a field may not have.
--
-- `place` is where the field is: `line 3: `, or nothing.
CREATE OR REPLACE FUNCTION :"schema".check_text(place text, field text, value text) RETURNS void
LANGUAGE plpgsql IMMUTABLE SET search_path = :"schema", pg_temp
AS $$
DECLARE
    is_note CONSTANT boolean := field IN ('reason', 'reference');
    bytes_max CONSTANT integer := CASE WHEN is_note THEN 2000 ELSE 200 END;
    hidden CONSTANT text := CASE
        WHEN field IN ('store_id', 'item_id', 'location_id') THEN hidden_character(value)
    END;
BEGIN
    IF value IS NULL AND field IN ('store_id', 'item_id') THEN
        RAISE not_null_violation USING
            MESSAGE = format('%s%s is empty', place, field), TABLE = 'jobs', COLUMN = field;
    ELSIF value = '' AND NOT is_note THEN
        RAISE check_violation USING
            MESSAGE = format('%s%s is empty', place, field),
            TABLE = 'jobs', CONSTRAINT = format('jobs_%s_length', field);
    ELSIF octet_length(value) > bytes_max THEN
        RAISE check_violation USING
            MESSAGE = format(
                '%s%s has %s bytes, at most %s are allowed', place, field, octet_length(value), bytes_max),
            TABLE = 'jobs', CONSTRAINT = format('jobs_%s_length', field);
    ELSIF hidden IS NOT NULL THEN
        RAISE check_violation USING
            MESSAGE = format(
                '%s%s %s %s, which does not show; remove it', place, field,
                CASE hidden
                    WHEN 'U+' || upper(lpad(to_hex(ascii(value)), 4, '0')) THEN 'begins with'
                    WHEN 'U+' || upper(lpad(to_hex(ascii(right(value, 1))), 4, '0')) THEN 'ends with'
                    ELSE 'contains'
                END,
                CASE hidden WHEN 'U+0020' THEN 'U+0020 (SPACE)' ELSE hidden END),
            DETAIL = format('The %s is %s.', field, to_json(value)),
            HINT = 'An id has visible characters, and spaces only between them.',
            TABLE = 'jobs', CONSTRAINT = 'jobs_ids_visible';
    END IF;
END
$$;

-- Raises an error for a time that is not one, or that is later than the queue's limit.
CREATE OR REPLACE FUNCTION :"schema".check_time(
    place text, field text, value timestamptz, has_limit boolean
) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = :"schema", pg_temp
AS $$
DECLARE
    time_limit interval;
BEGIN
    IF NOT isfinite(value) AND field <> 'expires_at' THEN
        RAISE check_violation USING
            MESSAGE = format('%s%s must be a time, not %s', place, field, value),
            TABLE = 'jobs', CONSTRAINT = format('jobs_%s_finite', field);
    ELSIF has_limit THEN
        time_limit := native_time_limit();
        IF value > now() + time_limit THEN
            RAISE check_violation USING
                MESSAGE = format(
                    '%s%s is too far ahead: %s days is the limit, and it is %s', place, field,
                    round(extract(epoch FROM time_limit) / 86400), value),
                HINT = 'An administrator changes the limit with set_time_limit.',
                TABLE = 'jobs', CONSTRAINT = format('jobs_%s_limit', field);
        END IF;
    END IF;
END
$$;

-- Raises an error for what the lines of a call may not have. Without one there is none: are_valid_options does not know
-- whether an administrator has allowed later times.
CREATE OR REPLACE FUNCTION :"schema".check_options(
    store_id text, group_id text, priority integer, run_at timestamptz, expires_at timestamptz, ordering_key text,
    max_attempts integer
) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = :"schema", pg_temp
AS $$
BEGIN
    PERFORM check_text('', 'store_id', store_id);
    PERFORM check_text('', 'group_id', group_id);
    PERFORM check_text('', 'ordering_key', ordering_key);
    IF group_id IS NOT NULL AND ordering_key IS NOT NULL THEN
        RAISE check_violation USING
            MESSAGE = 'group_id and ordering_key are mutually exclusive',
            TABLE = 'jobs', CONSTRAINT = 'jobs_group_in_store_lane';
    ELSIF priority NOT BETWEEN 1 AND 4 THEN
        RAISE check_violation USING
            MESSAGE = format('priority must be from 1 to 4, not %s', priority),
            TABLE = 'jobs', CONSTRAINT = 'jobs_priority_range';
    ELSIF max_attempts NOT BETWEEN 1 AND 1000 THEN
        RAISE check_violation USING
            MESSAGE = format('max_attempts must be from 1 to 1000, not %s', max_attempts),
            TABLE = 'jobs', CONSTRAINT = 'jobs_max_attempts_range';
    END IF;
    PERFORM check_time('', 'run_at', run_at, true);
    PERFORM check_time('', 'expires_at', expires_at, true);
END
$$;

-- Raises an error for what a line may not have.
--
-- `number` is the line's place in its list, from 1; null without a list.
CREATE OR REPLACE FUNCTION :"schema".check_line(
    number bigint, item_id text, quantity bigint, action text, location_id text, on_insufficient text,
    idempotency_key text, reference text, reason text, counted_at timestamptz, actor text, occurred_at timestamptz,
    metadata jsonb
) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = :"schema", pg_temp
AS $$
DECLARE
    place CONSTANT text := CASE WHEN number IS NULL THEN '' ELSE format('line %s: ', number) END;
    given_action CONSTANT text := coalesce(action, (job_defaults()).action);
BEGIN
    PERFORM check_text(place, 'item_id', item_id);
    PERFORM check_text(place, 'location_id', location_id);
    PERFORM check_text(place, 'idempotency_key', idempotency_key);
    PERFORM check_text(place, 'reference', reference);
    PERFORM check_text(place, 'reason', reason);
    PERFORM check_text(place, 'actor', actor);
    IF quantity IS NULL THEN
        RAISE not_null_violation USING MESSAGE = place || 'quantity is empty', TABLE = 'jobs', COLUMN = 'quantity';
    ELSIF action <> ALL (enum_range(NULL::action)::text[]) THEN
        RAISE invalid_text_representation USING
            MESSAGE = format(
                '%saction must be one of %s, not %L', place, array_to_string(enum_range(NULL::action), ', '),
                left(action, 60));
    ELSIF on_insufficient <> ALL (enum_range(NULL::on_insufficient)::text[]) THEN
        RAISE invalid_text_representation USING
            MESSAGE = format(
                '%son_insufficient must be one of %s, not %L', place,
                array_to_string(enum_range(NULL::on_insufficient), ', '), left(on_insufficient, 60));
    ELSIF on_insufficient <> 'reject' AND given_action NOT IN ('adjust', 'allocate')
        AND NOT (given_action = 'set' AND on_insufficient = 'allow')
    THEN
        RAISE check_violation USING
            MESSAGE = format('%son_insufficient %s does not go with action %s', place, on_insufficient, given_action),
            TABLE = 'jobs', CONSTRAINT = 'jobs_policy_fits_action';
    END IF;
    PERFORM check_counted_at(place, counted_at, action);
    PERFORM check_time(place, 'occurred_at', occurred_at, false);
    IF jsonb_typeof(metadata) <> 'object' THEN
        RAISE check_violation USING
            MESSAGE = format(
                '%smetadata must be a JSON object like {"till": 3}, not %s', place, left(metadata::text, 60)),
            TABLE = 'jobs', CONSTRAINT = 'jobs_metadata_valid';
    ELSIF octet_length(metadata::text) > 10000 THEN
        RAISE check_violation USING
            MESSAGE = format(
                '%smetadata has %s bytes, at most 10000 are allowed', place, octet_length(metadata::text)),
            TABLE = 'jobs', CONSTRAINT = 'jobs_metadata_valid';
    END IF;
END
$$;

-- Raises an error for the first of the new lines of a list that no job can be.
CREATE OR REPLACE FUNCTION :"schema".check_lines(list :"schema".lines) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = :"schema", pg_temp
AS $$
DECLARE
    line record;
BEGIN
    FOR line IN
        SELECT *
        FROM unnest(
            list.item_ids, list.quantities, list.actions, list.location_ids, list.on_insufficients,
            list.idempotency_keys, list."references", list.reasons, list.counted_ats, list.actors, list.occurred_ats,
            list.metadatas, list.known_jobs
        ) WITH ORDINALITY AS l (
            item_id, quantity, action, location_id, policy, key, reference, reason, counted_at, actor, occurred_at,
            metadata, known_job, number
        )
        WHERE known_job IS NULL
        ORDER BY number
    LOOP
        PERFORM check_line(
            line.number, line.item_id, line.quantity, line.action, line.location_id, line.policy, line.key,
            line.reference, line.reason, line.counted_at, coalesce(line.actor, list.actor),
            coalesce(line.occurred_at, list.occurred_at), coalesce(line.metadata, list.metadata));
    END LOOP;
END
$$;

-- Raises an error for a count of a moment that no job may have.
CREATE OR REPLACE FUNCTION :"schema".check_counted_at(place text, counted_at timestamptz, action text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = :"schema", pg_temp
AS $$
BEGIN
    IF counted_at IS NOT NULL AND action IS DISTINCT FROM 'set' THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format(
                '%scounted_at is for the action set, not for %s', place, coalesce(action, (job_defaults()).action)),
            HINT = 'When a sale or a delivery happened is its occurred_at.';
    ELSIF counted_at > now() + interval '5 minutes' THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('%scounted_at is in the future: %s', place, counted_at),
            HINT = 'Check the clock and the time zone.';
    END IF;
END
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA :"schema" FROM PUBLIC;
