-- Results by time, for lists of what was finished lately.
--
-- Not of all results: an entry for each applied job cost a batch a twentieth of its time. Applied jobs are in the
-- change log with their time. A range of 128 pages has one summary; of a range that vacuum has not summarized yet a
-- query reads all rows.
CREATE INDEX results_not_applied ON :"schema".results USING brin (finished_at)
    WHERE outcome <> 'applied' OR warning IS NOT NULL;
