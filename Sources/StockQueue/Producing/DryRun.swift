import StockDecision
import StockModel
import StockQueuePostgres

/// Decides jobs by the workers' own function, against the stock as it is now; writes nothing.
///
/// Each job sees the stock that the jobs before it would produce. A dry run ignores the jobs in the queue and treats
/// every job as due now. A job that would wait changes nothing.
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
    private let groupLinesMax: Int
    private let source: Source
    private var requests: [JobRequest] = []
    /// Of the requests of an import.
    private var lines: [Int] = []
    /// Is called with each decided job of an import and its line.
    var onAnswer: ((_ line: Int, JobRequest, Answer) -> Void)?

    /// Where items and keys are read.
    private enum Source {
        /// The tables, with the rights of the caller.
        case tables
        /// A function that checks the token of a caller of the gateway.
        case gateway(tokenHash: String?, store: String)
    }

    /// Why a caller of the gateway may not read, as the functions of the schema name it.
    package struct AccessFailure: Error, Sendable {
        package let name: String
    }

    private var accessFailure: AccessFailure?

    private var items = KeyTable(columns: 3)
    private var stock: [ItemState] = []
    private var keys = KeyTable(columns: 2)
    private var keyStates: [KeyState?] = []
    private var nextID: Int64 = 1
    /// What earlier calls would have changed, by item; stock counts aside.
    private var changedBefore: [Int64] = []

    /// How many jobs would end in which way, by `Answer.summary`.
    public private(set) var counts: [String: Int] = [:]

    convenience init(connection: Connection, schema: QueueSchema, groupLinesMax: Int = GroupLimit.linesMax) {
        self.init(connection, schema, .tables, groupLinesMax)
    }

    private init(_ connection: Connection, _ schema: QueueSchema, _ source: Source, _ groupLinesMax: Int) {
        self.source = source
        self.connection = connection
        self.schema = schema
        self.groupLinesMax = groupLinesMax
    }

    /// Decides jobs in their order; adjacent jobs of one store and one group are a group.
    ///
    /// - Throws: `ValidationError` for a field that breaks a rule, `PostgresError` when the database fails.
    public static func answers(
        to jobs: [JobRequest], connection: Connection, schema: QueueSchema
    ) throws -> [Answer] {
        let reasons = try jobs.contains { $0.reason != nil } ? AllowedReasonsStatement.read(connection, schema) : nil
        for job in jobs {
            try job.validate()
            try reasons?.check(job.reason)
        }
        return try DryRun(connection: connection, schema: schema).decideAll(jobs)
    }

    /// Decides the jobs of a caller of the gateway, which are valid and of one store.
    package static func answers(
        to jobs: [JobRequest], tokenHash: String?, store: String, connection: Connection, schema: QueueSchema
    ) throws(PostgresError) -> Result<[Answer], AccessFailure> {
        let source = Source.gateway(tokenHash: tokenHash, store: store)
        let dryRun = DryRun(connection, schema, source, GroupLimit.linesMax)
        let answers = try dryRun.decideAll(jobs)
        if let failure = dryRun.accessFailure { return .failure(failure) }
        return .success(answers)
    }

    // MARK: the target of an import

    func write(_ job: JobRequest) throws(PostgresError) { requests.append(job) }

    /// Notes the lines of the jobs that were written.
    func addLines(_ lines: [Int]) { self.lines += lines }

    func end(rows: Int) throws(PostgresError) -> WrittenJobs {
        let answers = try decideAll(requests)
        for answer in answers { counts[answer.summary, default: 0] += 1 }
        if let onAnswer {
            for (line, (job, answer)) in zip(lines, zip(requests, answers)) { onAnswer(line, job, answer) }
        }
        requests.removeAll(keepingCapacity: true)
        lines.removeAll(keepingCapacity: true)
        return WrittenJobs(transaction: 0, firstJobID: 0, enqueued: rows)
    }

    func commit() throws(PostgresError) {}

    func abandon() {}

    // MARK: decisions

    private func decideAll(_ requests: [JobRequest]) throws(PostgresError) -> [Answer] {
        let now = try connection.execute(CurrentTimeStatement().statement).timestamp(0, 0).microsecondsSince2000
        let jobs = claimed(requests, now)
        let counts = zip(requests, jobs).compactMap { request, job in
            request.countedAtMicroseconds.map {
                DryRunCount(
                    jobID: job.id, item: job.item.rawValue, at: Timestamp(microsecondsSince2000: $0))
            }
        }
        var times = StockCounts()
        for (position, change, isOutdated) in try readState(counts) {
            let count = counts[position]
            times.counts[count.jobID] = .init(
                countedAt: count.at.microsecondsSince2000,
                changeSince: change + (Int(count.item) < changedBefore.count ? changedBefore[Int(count.item)] : 0),
                isOutdated: isOutdated)
        }
        for count in counts where times.counts[count.jobID] == nil {
            times.counts[count.jobID] = .init(countedAt: count.at.microsecondsSince2000)
        }
        if !times.isEmpty {
            for (request, job) in zip(requests, jobs) {
                times.moments[job.id] = request.countedAtMicroseconds ?? request.occurredAtMicroseconds ?? now
            }
        }
        let batch = decide(
            jobs, items: stock, keys: keyStates, tooLargeGroups: tooLargeGroups(of: jobs), counts: times)
        noteChanges(jobs, batch)
        stock = batch.items
        keyStates = batch.keys
        return zip(jobs, batch.jobs).map { job, decision in Answer(decision, stock[job.item]) }
    }

    private func noteChanges(_ jobs: [ClaimedJob], _ batch: BatchDecision) {
        changedBefore += repeatElement(0, count: stock.count - changedBefore.count)
        for (job, decision) in zip(jobs, batch.jobs) where job.action != .set {
            guard case .finished(let outcome) = decision, let change = outcome.change else { continue }
            changedBefore[job.item.position] += change.after.onHand - change.before.onHand
        }
    }

    private func claimed(_ requests: [JobRequest], _ now: Int64) -> [ClaimedJob] {
        var groups = KeyTable(columns: 2)
        return requests.map { request in
            let item = items.number(of: [request.storeID, request.itemID, request.locationID])
            var job = ClaimedJob(
                id: nextID, item: ItemIndex(rawValue: item), action: request.action,
                onInsufficient: request.onInsufficient, quantity: request.quantity)
            nextID += 1
            job.expectedAvailable = request.expectedAvailable
            job.isExpired = request.expiresAtMicroseconds.map { $0 <= now } ?? false
            job.notify = request.notify
            if let group = request.groupID {
                job.group = GroupIndex(rawValue: groups.number(of: [group, request.storeID]))
            }
            if let key = request.idempotencyKey {
                job.key = KeyIndex(rawValue: keys.number(of: [key, request.storeID]))
            }
            return job
        }
    }

    private func tooLargeGroups(of jobs: [ClaimedJob]) -> Set<GroupIndex> {
        var lines: [GroupIndex: Int] = [:]
        for job in jobs { if let group = job.group { lines[group, default: 0] += 1 } }
        return Set(lines.filter { $0.value > groupLinesMax }.keys)
    }

    // MARK: items and keys

    private typealias Changes = [(position: Int, change: Int64, isOutdated: Bool)]

    /// - Returns: the changes since the counts were taken.
    private func readState(_ counts: [DryRunCount]) throws(PostgresError) -> Changes {
        if case .gateway(let tokenHash, let store) = source { return try readState(tokenHash, store, counts) }
        try requireReadableStores()
        try readKeys()
        let newItems = Array(Int32(stock.count)..<Int32(items.count))
        stock += newItems.map { _ in ItemState() }
        var parameters = Parameters()
        for column in 0..<3 { parameters.addArray(of: newItems, in: items, column: column) }
        let rows = try connection.execute(ReadItemsStatement(schema).statement, parameters)
        for row in StoredItem.rows(in: rows) { stock[Int(newItems[row.position])] = row.state }
        return try readChanges(since: counts)
    }

    private func readChanges(since counts: [DryRunCount]) throws(PostgresError) -> Changes {
        if counts.isEmpty { return [] }
        var parameters = Parameters()
        let counted = counts.map(\.item)
        for column in 0..<3 { parameters.addArray(of: counted, in: items, column: column) }
        parameters.addArray(of: counts.count, timestamp: { counts[$0].at })
        let statement = ReadChangesSinceCountsStatement(schema).statement
        return ReadChangesSinceCountsStatement.changes(in: try connection.execute(statement, parameters))
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

    /// Reads all items and keys, for a caller of the gateway.
    private func readState(
        _ tokenHash: String?, _ store: String, _ counts: [DryRunCount]
    ) throws(PostgresError) -> Changes {
        let statement = GatewayDryRunStatement(schema)
        let rows = try connection.execute(
            statement.statement,
            statement.parameters(tokenHash, store, items: items, keys: keys, counts: counts))
        if let failure = GatewayDryRunStatement.failure(in: rows) { accessFailure = AccessFailure(name: failure) }
        stock = (0..<items.count).map { _ in ItemState() }
        keyStates = (0..<keys.count).map { _ in nil }
        for item in try GatewayDryRunStatement.items(in: rows) { stock[item.position] = item.state }
        for key in try GatewayDryRunStatement.keys(in: rows, store: store, items: &items) {
            keyStates[key.position] = key.state
        }
        // The items that only an earlier request names.
        stock += (stock.count..<items.count).map { _ in ItemState() }
        return GatewayDryRunStatement.changes(in: rows)
    }

    private func requireReadableStores() throws(PostgresError) {
        let stores = Set((stock.count..<items.count).map { items.string(of: $0, column: 0) }).sorted()
        var parameters = Parameters()
        parameters.addArray(stores)
        let hidden = try connection.execute(HiddenStoreStatement(schema).statement, parameters)
        if hidden.rowCount == 0 { return }
        throw PostgresError(
            kind: .server, sqlState: .insufficientPrivilege,
            message: "a dry run needs the scope read_catalog for store \(quoteLiteral(hidden.string(0, 0)))")
    }
}
