-- Results by time, for lists of what was finished lately.
--
-- Not of all results: an entry for each applied job cost a batch a twentieth of its time. Applied jobs are in the
-- change log with their time. A range of 128 pages has one summary; of a range that vacuum has not summarized yet a
-- query reads all rows.
CREATE INDEX results_not_applied ON :"schema".results USING brin (finished_at)
    WHERE outcome <> 'applied' OR warning IS NOT NULL;

-- Retention of results: of each item the last change in the partition that goes next, until that is the item's opening.
CREATE TABLE :"schema".next_openings (
    version bigint NOT NULL,
    on_hand bigint NOT NULL,
    allocated bigint NOT NULL,
    store_id text COLLATE "C" NOT NULL,
    item_id text COLLATE "C" NOT NULL,
    location_id text COLLATE "C" NOT NULL,
    CONSTRAINT next_openings_pkey PRIMARY KEY (store_id, item_id, location_id, version)
);

-- The partition whose changes these are. At most one row.
CREATE TABLE :"schema".prepared_partitions (
    name text COLLATE "C" NOT NULL,
    CONSTRAINT prepared_partitions_pkey PRIMARY KEY (name)
);
