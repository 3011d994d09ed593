import StockDecision
import StockModel
import StockQueuePostgres

/// Judges jobs as they come, by the worker's own decision, against the stock as it is now; writes nothing.
///
/// Each job sees the stock as the ones before it would leave it. Jobs in the queue are not regarded, `run_at` is taken for now,
/// and what would wait changes nothing.
public final class DryRun: JobTarget {
    /// What would become of one job.
    public struct Answer: Sendable {
        /// Nil: the job would wait for stock.
        public let outcome: Outcome?
        public let code: ResultCode?
        /// How much would be applied.
        public let appliedQuantity: Int64
        /// The item's balance before and after the job; nil for an unknown item.
        public let before: Balance?
        public let after: Balance?

        /// `applied`, `rejected (insufficient_stock)`, `waits`, …
        public var summary: String {
            guard let outcome else { return "waits" }
            return outcome.rawValue + (code.map { " (\($0.rawValue))" } ?? "")
        }

        init(_ decision: JobDecision, _ item: ItemState) {
            if case .finished(let result) = decision {
                (outcome, code, before, after) = (result.outcome, result.code, result.before, result.after)
                appliedQuantity = result.change?.quantity ?? 0
            } else {
                let balance = item.presence == .known ? item.balance : nil
                (outcome, code, before, after) = (nil, nil, balance, balance)
                appliedQuantity = 0
            }
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
        let batch = decide(jobs, items: stock, keys: keyStates)
        stock = batch.items
        keyStates = batch.keys
        for (job, decision) in zip(jobs, batch.jobs) {
            let answer = Answer(decision, stock[job.item])
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
                id: nextID, item: ItemIndex(rawValue: item),
                action: text(.action).flatMap { StockAction(rawValue: $0) } ?? .adjust,
                onInsufficient: text(.onInsufficient).flatMap { InsufficientStockPolicy(rawValue: $0) } ?? .reject,
                quantity: text(.quantity).flatMap { Int64($0) } ?? 0)
            nextID += 1
            job.expectedAvailable = text(.expectedAvailable).flatMap { Int64($0) }
            job.isExpired = expired[index]
            if let group = text(.groupID) { job.group = GroupIndex(rawValue: groups.number(of: [group, store])) }
            if let key = text(.idempotencyKey) { job.key = KeyIndex(rawValue: keys.number(of: [key, store])) }
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
        try readKeys()
        let newItems = Array(Int32(stock.count)..<Int32(items.count))
        stock += newItems.map { _ in ItemState() }
        var parameters = Parameters()
        for column in 0..<3 { parameters.addArray(of: newItems, in: items, column: column) }
        let rows = try connection.execute(ReadItemsStatement(schema).statement, parameters)
        for row in StoredItem.rows(in: rows) { stock[Int(newItems[row.position])] = row.state }
    }

    private func readKeys() throws(PostgresError) {
        let newKeys = Array(Int32(keyStates.count)..<Int32(keys.count))
        keyStates += newKeys.map { _ in nil }
        if newKeys.isEmpty { return }
        var parameters = Parameters()
        for column in 0..<2 { parameters.addArray(of: newKeys, in: keys, column: column) }
        let rows = try connection.execute(ReadKeysStatement(schema).statement, parameters)
        // A later job may name the item of a request.
        for used in try ReadKeysStatement.used(in: rows, items: &items, addsItems: true) {
            keyStates[Int(newKeys[used.position])] = used.state
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
            kind: .server, sqlState: .insufficientPrivilege,
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
