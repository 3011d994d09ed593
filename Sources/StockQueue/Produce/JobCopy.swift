import StockQueuePostgres

/// Where the jobs of an import go, a transaction at a time.
protocol JobTarget: AnyObject {
    var isCopying: Bool { get }
    func begin() throws(PostgresError) -> Int64
    func send(_ lines: [UInt8]) throws(PostgresError)
    func end(rows: Int) throws(PostgresError) -> Int
    func commit() throws(PostgresError)
    func abandon()
}

/// Jobs by COPY, a transaction at a time: straight into the table where that may be, otherwise through a temporary one.
///
/// Row security forbids COPY into the table (PostgreSQL manual, COPY, "Notes"), a ceiling has to be asked for, and jobs whose
/// idempotency keys were used before are to be left out: in these cases the rows are staged and then inserted.
final class JobCopy: JobTarget {
    private let connection: Connection
    private let copy: Statement
    private let stage: Statement?
    private let checkStoreLimit: Statement
    private let insertStaged: Statement
    private(set) var isCopying = false

    /// - Parameters:
    ///   - columns: the table's columns in the order in which they come.
    ///   - skipsDuplicates: leave out jobs whose key stands for the same request already, a group only as a whole.
    init(connection: Connection, schema: QueueSchema, columns: [String], skipsDuplicates: Bool) throws(PostgresError) {
        self.connection = connection
        let s = schema.quoted
        let mustStage = try connection.execute(
            Statement(
                "must_stage", [],
                "SELECT row_security_active(\(quoteLiteral("\(s).jobs"))) OR EXISTS (SELECT FROM \(s).store_limits)")
        ).bool(0, 0)
        let list = columns.joined(separator: ", ")
        let isStaged = mustStage || skipsDuplicates
        copy = Statement("copy_jobs", [], "COPY \(isStaged ? Self.staged : "\(s).jobs") (\(list)) FROM STDIN")
        stage =
            isStaged
            ? Statement(
                "stage_jobs_\(UInt(bitPattern: list.hashValue))", [],
                "CREATE TEMPORARY TABLE \(Self.staged) ON COMMIT DROP AS SELECT \(Self.staging(columns)) FROM \(s).jobs WITH NO DATA"
            )
            : nil
        checkStoreLimit = Statement(
            "require_room_\(UInt(bitPattern: list.hashValue))_\(skipsDuplicates)", [],
            """
            SELECT \(s).check_store_limit(store_id, count(*)::integer)
            FROM (\(Self.kept(s, columns, skipsDuplicates: skipsDuplicates, of: "WHERE store_id IN (SELECT store_id FROM \(s).store_limits)"))) AS job
            GROUP BY store_id
            """)
        insertStaged = Statement(
            "insert_staged_\(UInt(bitPattern: list.hashValue))_\(skipsDuplicates)", [],
            Self.insertion(s, columns, skipsDuplicates: skipsDuplicates))
    }

    private static let staged = "pg_temp.stockq_staged_jobs"

    /// A column of an enum needs a privilege on its type, which producers lack: it is staged as text.
    private static func staging(_ columns: [String]) -> String {
        columns.map { isLabel($0) ? "\($0)::text" : $0 }.joined(separator: ", ")
    }

    private static func isLabel(_ column: String) -> Bool {
        [JobField.action.rawValue, JobField.onInsufficient.rawValue].contains(column)
    }

    /// In the order in which the rows came, which is that of their places.
    private static func insertion(_ s: String, _ columns: [String], skipsDuplicates: Bool) -> String {
        let list = columns.joined(separator: ", ")
        let selected = columns.map { isLabel($0) ? "\($0)::\(s).\($0)" : $0 }.joined(separator: ", ")
        return """
            INSERT INTO \(s).jobs (\(list))
            SELECT \(selected)
            FROM (\(kept(s, columns, skipsDuplicates: skipsDuplicates, of: ""))) AS job
            ORDER BY place
            """
    }

    /// The staged rows, with their places, that are to be enqueued.
    ///
    /// - Parameter condition: a WHERE clause for the staged rows.
    private static func kept(_ s: String, _ columns: [String], skipsDuplicates: Bool, of condition: String) -> String {
        let rows = "SELECT *, ctid AS place FROM \(staged) \(condition)"
        guard skipsDuplicates else { return rows }
        func value(_ column: JobField) -> String {
            columns.contains(column.rawValue)
                ? "job.\(column.rawValue)" : "NULL"
        }
        let request: [JobField] = [.itemID, .locationID, .action, .quantity, .onInsufficient, .expectedAvailable]
        let same = "\(s).is_same_request(used, \(request.map(value).joined(separator: ", ")))"
        let group = columns.contains(JobField.groupID.rawValue) ? "job.group_id" : "NULL::text"
        return """
            SELECT *
            FROM (
                SELECT job.*,
                    CASE WHEN \(group) IS NULL THEN is_duplicate
                        ELSE bool_and(is_duplicate) OVER (PARTITION BY job.store_id, \(group)) END AS is_left_out
                FROM (\(rows)) AS job
                CROSS JOIN LATERAL (
                    SELECT EXISTS (
                        SELECT FROM \(s).keys_in_use AS used
                        WHERE used.idempotency_key = job.idempotency_key AND used.store_id = job.store_id AND \(same)
                    ) AS is_duplicate
                ) AS known
            ) AS marked
            WHERE NOT is_left_out
            """
    }

    /// Begins a transaction.
    ///
    /// - Returns: its id, for `pg_xact_status`.
    func begin() throws(PostgresError) -> Int64 {
        try connection.send(.begin)
        try connection.send(Self.transactionID)
        let transaction = try connection.receive()[1].int64(0, 0)
        if let stage { try connection.execute(stage) }
        try connection.startCopy(copy)
        isCopying = true
        return transaction
    }

    private static let transactionID = Statement(
        "transaction_id", [], "SELECT pg_current_xact_id()::text::bigint")

    /// Sends lines in COPY's text format.
    func send(_ lines: [UInt8]) throws(PostgresError) { try connection.copy(lines) }

    /// Ends the COPY; the transaction is still to be committed.
    ///
    /// - Parameter rows: how many were sent.
    /// - Returns: how many were enqueued; the others were repeats.
    func end(rows: Int) throws(PostgresError) -> Int {
        isCopying = false
        let taken = try connection.endCopy()
        if taken != rows {
            throw PostgresError(
                kind: .protocolViolation, message: "COPY took \(taken) rows of \(rows)", statement: copy.name)
        }
        if stage == nil { return rows }
        try connection.execute(checkStoreLimit)
        return try connection.execute(insertStaged).affectedRows
    }

    func commit() throws(PostgresError) { try connection.commit() }

    /// Gives the transaction up. The error that made it so is the one to tell, not what follows from it.
    func abandon() {
        if isCopying { try? connection.failCopy("broken off") }
        isCopying = false
        try? connection.rollBack()
    }
}
