-- A limit on the lines of a group.

-- The group has more lines than `groupLinesMax`.
ALTER TYPE :"schema".code ADD VALUE 'group_too_large';

-- The groups that are too large and have lines left in the queue: their first lines were rejected, a batch at a time,
-- so all others will be, however few they are by then and whatever the limit is by then.
CREATE TABLE :"schema".too_large_groups (
    group_id text COLLATE "C" NOT NULL,
    store_id text COLLATE "C" NOT NULL,
    submission_id xid8 NOT NULL,
    marked_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT too_large_groups_pkey PRIMARY KEY (group_id, store_id, submission_id)
);
