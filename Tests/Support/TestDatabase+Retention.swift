import StockQueue

extension TestDatabase {
    /// Makes results older than any setting keeps them.
    package func expireResults(below job: Int) throws {
        try run("UPDATE stockq.results SET finished_at = now() - interval '500 days' WHERE job_id < \(job)")
    }

    /// Drops the next partition of results of which all are older than 400 days.
    ///
    /// - Returns: its name; nil when there is none.
    package func dropExpiredPartition(exports: ExportFolder? = nil) throws -> String? {
        let retention = Retention(connection: try connect(), schema: schema)
        return try ExpiredResults(retention, exports: exports).dropNext(keepSeconds: 400 * 86_400) { true }?.name
    }
}
