-- Results by time, for lists of what was finished lately.

-- A summary of each range of 128 pages: results are written in the order of time, so it is small, and a batch pays for
-- it only when it begins a range. Of a range that vacuum has not summarized yet a query reads all rows.
CREATE INDEX results_finished_at ON :"schema".results USING brin (finished_at);
