import StockQueuePostgres

/// Finds the stable id: every job with a lower or equal id is visible or will never exist.
struct StableIDTracker {
    private static let everyMs = 100

    private let lastDrawnID: LastDrawnIDStatement
    private let writers: WritersStatement
    private var nextAt: Deadline?
    /// The id that becomes stable next.
    private var candidate: Int64 = 0
    /// The transactions that were writing just after the candidate was drawn and have not ended.
    private var pending: Set<String> = []

    init(_ schema: QueueSchema) {
        lastDrawnID = LastDrawnIDStatement(schema)
        writers = WritersStatement(schema)
    }

    mutating func advance(_ connection: Connection, _ marks: LowWaterMarks) throws(PostgresError) {
        if nextAt?.hasPassed == false { return }
        nextAt = .after(milliseconds: Self.everyMs)
        // First the id, then the locks, in two statements: a transaction that drew an id up to this one holds its lock
        // when the second statement runs, or has ended.
        try connection.sendSessionSettings()
        try connection.send(lastDrawnID.statement)
        try connection.send(writers.statement)
        let answers = try connection.receive()
        let drawn = answers[answers.count - 2].int64(0, 0)
        let rows = answers[answers.count - 1]
        let writing = Set((0..<rows.rowCount).map { rows.string($0, 0) })
        // Behind a pooler the server may have changed without a new connection.
        if drawn < candidate { marks.resetAll() }
        pending.formIntersection(writing)
        guard pending.isEmpty else { return }
        marks.raiseStableID(to: candidate)
        candidate = drawn
        pending = writing
        if writing.isEmpty { marks.raiseStableID(to: candidate) }
    }
}
