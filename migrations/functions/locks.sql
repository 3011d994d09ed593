-- The locks of maintenance. Repeatable: applied again whenever this text changes; a change of a signature needs a
-- migration.

-- Locks a row of `maintenance_locks` until the transaction ends. A row, because any role could hold an advisory lock.
-- Returns false where another transaction has locked it and the caller does not wait. A shared lock always waits.
CREATE OR REPLACE FUNCTION :"schema".lock_maintenance(
    name text, shared boolean DEFAULT false, waits boolean DEFAULT true
) RETURNS boolean
LANGUAGE plpgsql SET search_path = :"schema", pg_temp
AS $$
BEGIN
    IF shared THEN
        PERFORM FROM maintenance_locks AS l WHERE l.name = lock_maintenance.name FOR SHARE;
    ELSIF waits THEN
        PERFORM FROM maintenance_locks AS l WHERE l.name = lock_maintenance.name FOR UPDATE;
    ELSE
        PERFORM FROM maintenance_locks AS l WHERE l.name = lock_maintenance.name FOR UPDATE SKIP LOCKED;
    END IF;
    IF FOUND THEN
        RETURN true;
    END IF;
    IF NOT EXISTS (SELECT FROM maintenance_locks AS l WHERE l.name = lock_maintenance.name) THEN
        RAISE internal_error USING
            MESSAGE = format('maintenance_locks lacks its row "%s"', name), HINT = 'Insert it again.';
    END IF;
    RETURN false;
END
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA :"schema" FROM PUBLIC;
