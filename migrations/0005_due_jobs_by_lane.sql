-- Promotion takes the due jobs of every lane in turn, so the deferred jobs are indexed by lane and due time. By due
-- time alone, the past-due jobs of one store delayed every other store's.

DROP INDEX :"schema".jobs_due;
CREATE INDEX jobs_due ON :"schema".jobs (lane, run_at) WHERE run_at IS NOT NULL;
