import StockModel
import StockQueuePostgres

/// Imports, the newest first.
package struct ImportList: FilteredList {
    package enum State: String, Sendable, CaseIterable {
        case running, finished, stopped
        /// Its session is gone, and nothing says why.
        case interrupted
    }

    package var name: String?
    package var kind: ImportRecord.Kind?
    package var state: State?
    /// Only imports of this file that changed something, or still may.
    package var sha256: String?
    /// When the import was begun.
    package var since, until: PastMoment?
    /// Only imports with a lower id.
    package var before: Int64?
    package var limit: Int
    /// Adds how many of its jobs are queued, and how many have which outcome.
    package var countsJobs = false

    package init(limit: Int) { self.limit = limit }

    package func rows(of schema: QueueSchema) -> FilteredRows {
        let s = schema.quoted
        let jobs = countsJobs ? ", \(Self.jobCounts(s)) AS jobs" : ""
        let source = """
            (
                SELECT import_id, name, kind, file_name, sha256, \(s).import_state(imports) AS state, imported_by, started_at, updated_at, finished_at,
                    lines, enqueued, duplicates, rejected, created, changed, unchanged, stock_differs, through_line,
                    problem\(jobs)
                FROM \(s).imports
            )
            """
        var rows = FilteredRows(countsJobs ? "show_import" : "list_imports", from: source, order: "import_id DESC")
        rows.filter("import_id < $", before)
        rows.filter("name = $", name)
        rows.filter("kind = $", kind?.rawValue)
        rows.filter("state = $", state?.rawValue)
        rows.filter("sha256 = $ AND (state = 'running' OR lines > rejected)", sha256)
        rows.filter("started_at >= $", since)
        rows.filter("started_at < $", until)
        return rows
    }

    /// Whether a row of `listed` is a job of an import or its result. `$` is the import's id.
    ///
    /// The range of ids is answered by the primary keys. In it the last part that begins at or before the id is the one
    /// that may have the job: the parts of an import follow each other.
    static func jobs(_ schema: QueueSchema) -> String {
        let parts = "\(schema.quoted).import_parts"
        return """
            job_id >= (SELECT first_job_id FROM \(parts) WHERE import_id = $ ORDER BY first_job_id LIMIT 1)
                AND job_id <= (SELECT last_job_id FROM \(parts) WHERE import_id = $ ORDER BY first_job_id DESC LIMIT 1)
                AND submission_id = (
                    SELECT CASE WHEN part.last_job_id >= listed.job_id THEN part.submission_id END
                    FROM \(parts) AS part
                    WHERE part.import_id = $ AND part.first_job_id <= listed.job_id
                    ORDER BY part.first_job_id DESC
                    LIMIT 1
                )
            """
    }

    private static func jobCounts(_ s: String) -> String {
        """
        (
                    SELECT json_object_agg(state, jobs ORDER BY state)
                    FROM (
                        SELECT state, count(*) AS jobs
                        FROM (
                            SELECT 'queued' AS state
                            FROM \(s).import_parts AS part
                            JOIN \(s).jobs AS job ON job.job_id BETWEEN part.first_job_id AND part.last_job_id
                                AND job.submission_id = part.submission_id
                            WHERE part.import_id = imports.import_id
                            UNION ALL
                            SELECT outcome::text || coalesce(' (' || code::text || ')', '')
                            FROM \(s).import_parts AS part
                            JOIN \(s).results AS result ON result.job_id BETWEEN part.first_job_id AND part.last_job_id
                                AND result.submission_id = part.submission_id
                            WHERE part.import_id = imports.import_id
                        ) AS job
                        GROUP BY state
                    ) AS counted
                )
        """
    }
}
