import StockQueuePostgres

/// What a worker process checks before it starts: whatever would make it wrong without an error, or fail at every
/// batch.
package struct StartupCheck: Sendable {
    /// Why workers must not run here, as sentences that say what to do.
    package private(set) var blockers: [String] = []
    /// Findings with which workers can run, and that an administrator should know.
    package private(set) var warnings: [String] = []

    /// The most privileges that a sentence names.
    private static let privilegesMax = 3

    /// PostgreSQL 15 is the oldest that this program is tested with.
    private static let serverVersionMin = 150_000

    /// Asks the server. The schema must be migrated (`Migrator.check`).
    ///
    /// - Parameter requiresDurability: a server that may lose commits in a power cut is a blocker instead of a warning.
    package init(connection: Connection, schema: QueueSchema, requiresDurability: Bool) throws(PostgresError) {
        if connection.serverVersion < Self.serverVersionMin {
            blockers.append("the server is PostgreSQL \(connection.serverVersion / 10_000); 15 or later is needed")
            return
        }
        let rows = try connection.execute(
            ReadServerStateStatement().statement, ReadServerStateStatement.parameters(schema))
        check(ReadServerStateStatement.state(in: rows), requiresDurability: requiresDurability)
        try checkPrivileges(connection, schema)
        try checkRowSecurity(connection, schema)
        if blockers.isEmpty { try checkLanes(connection, schema) }
    }

    private mutating func check(_ server: ReadServerStateStatement.State, requiresDurability: Bool) {
        if server.isStandby {
            blockers.append(
                "the server is a standby and takes no writes; name the primary, or all hosts with target_session_attrs=read-write"
            )
        }
        for text in server.durabilityProblems {
            if requiresDurability { blockers.append(text) } else { warnings.append(text) }
        }
        if !server.canAddPartitions {
            blockers.append(
                "this role lacks EXECUTE on add_results_partitions, and work would stop when the present partitions are full"
            )
        }
        if !server.canDropExpired {
            warnings.append(
                "this role cannot drop expired results and keys; run `stockq prune` as an administrator")
        }
    }

    private mutating func checkPrivileges(_ connection: Connection, _ schema: QueueSchema) throws(PostgresError) {
        let rows = try connection.execute(
            FindMissingPrivilegesStatement().statement, FindMissingPrivilegesStatement.parameters(schema))
        let missing = FindMissingPrivilegesStatement.privileges(in: rows)
        if missing.isEmpty { return }
        let rest =
            missing.count > Self.privilegesMax ? " and \(missing.count - Self.privilegesMax) more privileges" : ""
        blockers.append(
            "this role lacks \(missing.prefix(Self.privilegesMax).joined(separator: ", "))\(rest); "
                + "an administrator runs: GRANT \(schema.name)_worker TO ROLE")
    }

    /// A lane without a row would never be worked, without any error.
    private mutating func checkLanes(_ connection: Connection, _ schema: QueueSchema) throws(PostgresError) {
        let lanes = FindMissingLanesStatement.lanes(
            in: try connection.execute(FindMissingLanesStatement(schema).statement))
        if lanes.isEmpty { return }
        let names = lanes.map { String($0) }.joined(separator: ", ")
        blockers.append(
            "the table lanes has no row for \(lanes.count == 1 ? "lane" : "lanes") \(names), and jobs there would never be worked; "
                + "as the owner of the schema run: INSERT INTO \(schema.quoted).lanes SELECT generate_series(0, \(LaneQueue.laneCount - 1)) ON CONFLICT DO NOTHING"
        )
    }

    /// Rows that row security hides are jobs that are never worked and items that look unknown, without any error.
    private mutating func checkRowSecurity(_ connection: Connection, _ schema: QueueSchema) throws(PostgresError) {
        let rows = try connection.execute(
            FindHiddenRowsStatement().statement, FindHiddenRowsStatement.parameters(schema))
        for table in FindHiddenRowsStatement.tables(in: rows) {
            blockers.append(
                "row security may hide rows of \(table) from this role, and their jobs would be skipped without an error; "
                    + "give the worker's role a policy FOR ALL USING (true), or BYPASSRLS")
        }
    }
}
