import Foundation
import StockQueuePostgres

/// Looks for the stable id and for transactions that hold ids back, and reports those that are open for long.
struct OpenTransactionWatch {
    private static let everyMs = 100
    /// On a quiet queue no mark has to move, and only the reports count.
    private static let everyMsWhenQuiet = 5_000

    private let lastDrawnID: LastDrawnIDStatement
    private let writers: WritersStatement
    private let describe = DescribeWritersStatement()
    private var tracker = StableIDTracker()
    private var sinceLast: Stopwatch?

    init(_ schema: QueueSchema) {
        lastDrawnID = LastDrawnIDStatement(schema)
        writers = WritersStatement(schema)
    }

    /// - Parameter isQuiet: there has been no work for a while.
    mutating func look(
        _ connection: Connection, _ context: ServiceContext, isQuiet: Bool
    ) throws(PostgresError) {
        let pauseMs = isQuiet ? Self.everyMsWhenQuiet : Self.everyMs
        if let sinceLast, sinceLast.milliseconds < pauseMs { return }
        sinceLast = Stopwatch()
        let marks = context.marks
        let passed = Set(marks.snapshot.passed)
        try connection.sendSessionSettings()
        try connection.send(lastDrawnID.statement)
        try connection.send(writers.statement)
        let answers = try connection.receive()
        let look = StableIDTracker.Look(
            lastDrawnID: answers[answers.count - 2].int64(0, 0),
            writers: WritersStatement.writers(in: answers[answers.count - 1]))
        let nowMs = Int(DispatchTime.now().uptimeNanoseconds / 1_000_000)
        let findings = tracker.findings(look, passed: passed, nowMs: nowMs)
        if findings.startsOver { marks.resetAll() }
        if !findings.ended.isEmpty { marks.end(findings.ended) }
        if let id = findings.stableID { marks.raiseStableID(to: id, passing: findings.passed) }
        if !findings.overdue.isEmpty { try report(findings.overdue, connection, context) }
    }

    /// One event for each transaction that is still open.
    private func report(
        _ overdue: [(writer: JobWriter, seconds: Int)], _ connection: Connection, _ context: ServiceContext
    ) throws(PostgresError) {
        let rows = DescribeWritersStatement.rows(
            in: try connection.execute(
                describe.statement, DescribeWritersStatement.parameters(overdue.map(\.writer))))
        for (writer, seconds) in overdue {
            let isPrepared = writer.processID == nil
            guard
                let row = rows.first(where: {
                    isPrepared ? $0.transactionID == writer.transactionID : $0.processID == writer.processID
                })
            else { continue }
            context.onEvent(
                .transactionOpenLong(
                    .init(
                        processID: row.processID.map { Int($0) }, user: row.user,
                        applicationName: row.applicationName, preparedName: row.preparedName,
                        seconds: row.seconds.map { Int($0) } ?? seconds)))
        }
    }
}
