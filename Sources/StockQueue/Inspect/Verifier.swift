import StockQueuePostgres

/// Proves the ledger: whether stock, results, notifications and queue agree with one another.
///
/// The checks are written in SQL alone, so that they share nothing with the code whose work they check.
package struct Verifier {
    /// Something that must hold, and the query that finds where it does not.
    package struct Check: Sendable {
        /// What must hold, as a sentence.
        package let name: String
        /// The name of the statement.
        let statementName: String
        /// Selects one text for each violation.
        let sql: String

        var statement: Statement {
            Statement(
                statementName, [],
                "SELECT violation FROM (\(sql)) AS found (violation) LIMIT \(Verifier.violationsMax + 1)")
        }
    }

    /// What a check found.
    package struct Finding: Sendable {
        /// The name of the check.
        package let check: String
        /// A sentence for each violation, at most `violationsMax`.
        package let violations: [String]
        /// There are more violations than these.
        package let isCut: Bool
    }

    /// The most violations listed for a check.
    package static let violationsMax = 100

    /// A check reads all there is of a table.
    private static let checkTimeoutMs = 3_600_000

    private let connection: Connection
    private let schema: QueueSchema
    private let isWhole: Bool
    package let checks: [Check]

    package init(connection: Connection, schema: QueueSchema) {
        self.connection = connection
        self.schema = schema
        isWhole = true
        let s = schema.quoted
        checks = Check.ofBalances(s) + Check.ofJobs(s) + Check.ofNotifications(s) + Check.ofAlerts(s)
    }

    /// Verifies a part of the ledger. The work grows with the part.
    package init(connection: Connection, schema: QueueSchema, scope: Scope) {
        self.connection = connection
        self.schema = schema
        isWhole = false
        checks = Check.of(scope, schema.quoted)
    }

    /// Runs one check. It takes the longer the larger the tables are.
    package func run(_ check: Check) throws(PostgresError) -> Finding {
        let rows = try connection.execute(check.statement, timeoutMs: Self.checkTimeoutMs)
        let violation = rows.column("violation")
        let violations = (0..<min(rows.rowCount, Self.violationsMax)).map { rows.string($0, violation) }
        return Finding(check: check.name, violations: violations, isCut: rows.rowCount > Self.violationsMax)
    }

    /// Whether this role may read all rows of the tables that the checks read. Otherwise they prove nothing.
    package func seesEverything() throws(PostgresError) -> Bool {
        let needs = [
            "items", "jobs", "results", "notifications", "threshold_changes", "alert_policies", "snoozes",
            "announced_stores", "announcements", "announced_items", "deliveries", "delivery_progress",
            "reconciliations",
        ].map { (object: $0, privileges: ["SELECT"]) }
        do throws(PostgresError) {
            let missing = try connection.execute(
                FindMissingPrivilegesStatement().statement,
                FindMissingPrivilegesStatement.parameters(schema, objects: needs, columns: []))
            if missing.rowCount > 0 { return false }
            let hidden = try connection.execute(
                FindHiddenRowsStatement().statement, FindHiddenRowsStatement.parameters(schema, objects: needs))
            return hidden.rowCount == 0
        } catch  where error.sqlState == .insufficientPrivilege {
            return false  // not even the schema is this role's to look into
        }
    }

    /// Runs all checks on one snapshot, so that a queue can be verified while workers are running.
    ///
    /// Those of the whole ledger join large tables, those of a part look up rows by their keys. While rows are loaded,
    /// autovacuum may have analyzed a table and found none that was committed: until it does so again, the planner takes
    /// the table for empty. It would compare each item with each change, or read the whole table for each row.
    package func runAll(_ body: (Finding) -> Void) throws(PostgresError) {
        try connection.begin(.beginSnapshot)
        do throws(PostgresError) {
            try connection.executeScript("SET LOCAL \(isWhole ? "enable_nestloop" : "enable_seqscan") = off")
            for check in checks { body(try run(check)) }
            try connection.commit()
        } catch {
            try? connection.rollBack()  // nothing was written; a failed rollback adds nothing to the first error
            throw error
        }
    }
}

extension Verifier.Check {
    /// The item of a violation; an expression over the columns of the key.
    static let item = "format('item %L %L %L', store_id, item_id, location_id)"
}
