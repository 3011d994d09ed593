import StockQueuePostgres

/// Judges jobs as they come, by the worker's own decision, against the stock as it is now; writes nothing.
///
/// Each job sees the stock as the ones before it would leave it. Jobs in the queue are not regarded, `run_at` is taken for now,
/// and what would wait changes nothing.
public final class DryRun: JobTarget {
    /// What would become of one job.
    public struct Answer: Sendable {
        public let decision: JobDecision
        /// `applied`, `rejected (insufficient_stock)`, `waits`, …
        public var summary: String {
            if decision.fate == .waits { return "waits" }
            return decision.outcome.rawValue + (decision.code.map { " (\($0.rawValue))" } ?? "")
        }
    }

    private let connection: Connection
    private let schema: QueueSchema
    private let columns: [JobField]
    private var lines: [UInt8] = []
    private(set) var isCopying = false

    private var items = KeyTable(columns: 3)
    private var stock: [ItemState] = []
    private var keys = KeyTable(columns: 2)
    private var keyStates: [KeyState?] = []
    private var nextID: Int64 = 1

    /// How many jobs would end in which way, by `Answer.summary`.
    public private(set) var counts: [String: Int] = [:]
    /// What would become of the last job.
    public private(set) var last: Answer?

    init(connection: Connection, schema: QueueSchema, columns: [String]) {
        self.connection = connection
        self.schema = schema
        self.columns = columns.compactMap { JobField(rawValue: $0) }
    }

    /// Judges one job.
    ///
    /// - Throws: `ValidationError` for a field that breaks a rule.
    public static func answer(
        to fields: [JobField: String], connection: Connection, schema: QueueSchema
    ) throws -> Answer? {
        let columns = JobField.allCases.filter { fields[$0] != nil }
        let rules = JobRules(columns: columns)
        let run = DryRun(connection: connection, schema: schema, columns: rules.copyColumns)
        var line: [UInt8] = []
        try rules.encode({ ArraySlice((fields[columns[$0]] ?? "").utf8) }, into: &line)
        _ = try run.begin()
        try run.send(line)
        _ = try run.end(rows: 1)
        return run.last
    }

    // MARK: in place of COPY

    func begin() throws(PostgresError) -> Int64 {
        isCopying = true
        return 0
    }

    func send(_ lines: [UInt8]) throws(PostgresError) { self.lines += lines }

    func commit() throws(PostgresError) {}

    func abandon() { isCopying = false }

    func end(rows: Int) throws(PostgresError) -> Int {
        isCopying = false
        let fields = Self.fields(of: lines)
        lines.removeAll(keepingCapacity: true)
        let jobs = try claim(fields)
        try readState()
        let decision = decide(jobs, stock: stock, keys: keyStates)
        stock = decision.stock
        keyStates = decision.keys
        for decision in decision.decisions {
            let answer = Answer(decision: decision)
            counts[answer.summary, default: 0] += 1
            last = answer
        }
        return rows
    }

    // MARK: jobs

    private func claim(_ rows: [[String?]]) throws(PostgresError) -> [ClaimedJob] {
        var groups = KeyTable(columns: 2)
        let expired = try expired(rows)
        var jobs: [ClaimedJob] = []
        for (index, row) in rows.enumerated() {
            func text(_ column: JobField) -> String? { columns.firstIndex(of: column).flatMap { row[$0] } }
            let store = text(.storeID) ?? ""
            let item = items.number(of: [store, text(.itemID) ?? "", text(.locationID) ?? "main"])
            var job = ClaimedJob(
                id: nextID, item: item, action: text(.action).flatMap { StockAction(rawValue: $0) } ?? .adjust,
                onInsufficient: text(.onInsufficient).flatMap { InsufficientStockPolicy(rawValue: $0) } ?? .reject,
                quantity: text(.quantity).flatMap { Int64($0) } ?? 0)
            nextID += 1
            job.expectedAvailable = text(.expectedAvailable).flatMap { Int64($0) }
            job.isExpired = expired[index]
            if let group = text(.groupID) { job.group = groups.number(of: [group, store]) }
            if let key = text(.idempotencyKey) { job.key = keys.number(of: [key, store]) }
            jobs.append(job)
        }
        return jobs
    }

    /// Which rows have expired, by the database's clock.
    private func expired(_ rows: [[String?]]) throws(PostgresError) -> [Bool] {
        guard let column = columns.firstIndex(of: .expiresAt) else { return rows.map { _ in false } }
        var parameters = Parameters()
        parameters.addArray(rows.map { $0[column] })
        let answer = try connection.execute(
            Statement(
                "have_expired", [.textArray],
                "SELECT coalesce(time::timestamptz <= now(), false) FROM unnest($1) WITH ORDINALITY AS t (time, number) ORDER BY number"
            ), parameters)
        return rows.indices.map { answer.bool($0, 0) }
    }

    private func readState() throws(PostgresError) {
        try requireSight()
        let statements = WorkStatements(schema: schema)
        try readKeys(statements)
        let newItems = Array(Int32(stock.count)..<Int32(items.count))
        stock += newItems.map { _ in ItemState() }
        var parameters = Parameters()
        for column in 0..<3 { parameters.addArray(of: newItems, in: items, column: column) }
        let rows = try connection.execute(statements.readItems, parameters)
        for row in 0..<rows.rowCount { stock[Int(newItems[Int(rows.int32(row, 0))])] = Batch.stockState(rows, row) }
    }

    private func readKeys(_ statements: WorkStatements) throws(PostgresError) {
        let newKeys = Array(Int32(keyStates.count)..<Int32(keys.count))
        keyStates += newKeys.map { _ in nil }
        if newKeys.isEmpty { return }
        var parameters = Parameters()
        for column in 0..<2 { parameters.addArray(of: newKeys, in: keys, column: column) }
        let used = try connection.execute(statements.readKeys, parameters)
        for row in 0..<used.rowCount {
            // A later job may name the item of the request.
            _ = items.number(in: used, row: row, firstColumn: 6)
            keyStates[Int(newKeys[Int(used.int32(row, 0))])] = try KeyState(in: used, row: row, items: &items)
        }
    }

    /// Row security hides the items of a producer without the scope, and all would poll unknown.
    private func requireSight() throws(PostgresError) {
        let stores = Set((stock.count..<items.count).map { items.string(of: $0, column: 0) }).sorted()
        var parameters = Parameters()
        parameters.addArray(stores)
        let s = schema.quoted
        let hidden = try connection.execute(
            Statement(
                "hidden_stores", [.textArray],
                "SELECT store FROM unnest($1) AS store WHERE NOT \(s).can_read_all_stores() AND NOT \(s).has_grant(store, 'read_catalog') LIMIT 1"
            ), parameters)
        if hidden.rowCount == 0 { return }
        throw PostgresError(
            kind: .server, sqlState: "42501",
            message: "a dry run needs the scope read_catalog for store \(quoteLiteral(hidden.string(0, 0)))")
    }

    // MARK: lines

    /// The fields of lines in COPY's text format; nil for NULL.
    private static func fields(of lines: [UInt8]) -> [[String?]] {
        let (tab, newline, escape) = (UInt8(ascii: "\t"), UInt8(ascii: "\n"), UInt8(ascii: "\\"))
        return lines.split(separator: newline).map { line in
            line.split(separator: tab, omittingEmptySubsequences: false).map { field in
                if field.elementsEqual([escape, UInt8(ascii: "N")]) { return nil }
                var plain: [UInt8] = []
                var rest = field
                while let byte = rest.popFirst() {
                    guard byte == escape, let letter = rest.popFirst() else {
                        plain.append(byte)
                        continue
                    }
                    switch letter {
                    case UInt8(ascii: "t"): plain.append(tab)
                    case UInt8(ascii: "n"): plain.append(newline)
                    case UInt8(ascii: "r"): plain.append(UInt8(ascii: "\r"))
                    default: plain.append(letter)
                    }
                }
                return String(decoding: plain, as: UTF8.self)
            }
        }
    }
}
