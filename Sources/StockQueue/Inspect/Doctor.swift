import Foundation
import StockQueuePostgres

/// Finds what an administrator has to act on: missing workers, backlog, failures, and what is wrong with the server.
package struct Doctor {
    /// From where on something is a finding.
    package struct Limits: Sendable {
        /// Fewer connected workers are a finding.
        package var workersMin: Int32 = 1
        /// How long a ready job may wait, and how long the attempts of a subscription may fail. Jobs of paused stores and
        /// lanes do not count.
        package var ageMax = Duration.minutes(5)
        /// How many jobs may fail, or be attempted again after an error, and how many deliveries may be given up, within
        /// `since`. A job that was retried does not count.
        package var failedMax: Int64 = 0
        package var deadMax: Int64 = 0
        package var since = Duration.days(1)
        /// How long a store or a lane may be paused.
        package var pauseMax = Duration.days(1)
        /// How long a transaction may be open.
        package var transactionMax = Duration.minutes(10)
        package var connectionsPercentMax: Int32 = 90
        /// Between this machine and the server.
        package var clockDifferenceMax = Duration.seconds(5)
        /// Of each disk of the server that may be free at least.
        package var freeDiskPercentMin = 10
        /// A table of more rows needs statistics, and may have so many dead rows.
        package var largeTableRows: Int64 = 1_000_000

        package init() {}
    }

    package struct Finding: Sendable, Hashable {
        /// What was checked: `workers`, `backlog`, …
        package var check: String
        /// What is wrong and what to do, as a sentence without a full stop.
        package var text: String
    }

    private let connection: Connection
    private let schema: QueueSchema

    package init(connection: Connection, schema: QueueSchema) {
        self.connection = connection
        self.schema = schema
    }

    /// What exceeds the limits now.
    ///
    /// - Parameter clock: this machine's.
    package func findings(
        _ limits: Limits, clock: () -> Date = { Date() }
    ) throws(PostgresError) -> [Finding] {
        let ofClock = try clockFinding(max: limits.clockDifferenceMax, clock)
        let found = DoctorStatement.findings(
            in: try connection.execute(DoctorStatement(schema).statement, DoctorStatement.parameters(limits, schema)))
        return found + [ofClock].compactMap { $0 } + (try ofDisks(percentMin: limits.freeDiskPercentMin))
            + (try ofStartup())
    }

    /// The free space of the disks is not visible in SQL, but on the server's own machine.
    private func ofDisks(percentMin: Int) throws(PostgresError) -> [Finding] {
        let rows = try connection.execute(ListFoldersStatement().statement)
        return ListFoldersStatement.folders(in: rows).compactMap { folder in
            // Where a container has the socket of another machine, the folder is not here.
            guard let disk = try? FileManager.default.attributesOfFileSystem(forPath: folder),
                let free = (disk[.systemFreeSize] as? NSNumber)?.doubleValue,
                let size = (disk[.systemSize] as? NSNumber)?.doubleValue, size > 0,
                free / size * 100 < Double(percentMin)
            else { return nil }
            return Finding(
                check: "disk",
                text: "\(Int(free / size * 100)) % (\(Int(free / 1_048_576)) MiB) of the disk of \(folder) is free; "
                    + "on a full disk the server writes nothing")
        }
    }

    /// How far apart the clocks are at least: the server's time is between this machine's before the call and after it,
    /// so a slow call is no difference.
    private func clockFinding(max: Duration, _ clock: () -> Date) throws(PostgresError) -> Finding? {
        let before = Timestamp(clock())
        let server = ReadClockStatement.time(in: try connection.execute(ReadClockStatement().statement))
        let after = Timestamp(clock())
        let isAhead = before > server
        let nearest = isAhead ? before : Swift.min(server, after)
        let milliseconds = (nearest.microsecondsSince2000 - server.microsecondsSince2000).magnitude / 1_000
        if milliseconds <= max.milliseconds { return nil }
        return Finding(
            check: "clock",
            text:
                "the clock of this machine is \(milliseconds) ms \(isAhead ? "ahead of" : "behind") that of the server; "
                + "times that are given in local time are off")
    }

    /// What a worker process looks for before it starts, too.
    private func ofStartup() throws(PostgresError) -> [Finding] {
        let server = ReadServerStateStatement.state(
            in: try connection.execute(
                ReadServerStateStatement().statement, ReadServerStateStatement.parameters(schema)))
        let lanes = FindMissingLanesStatement.lanes(
            in: try connection.execute(FindMissingLanesStatement(schema).statement))
        return server.durabilityProblems.map { Finding(check: "durability", text: $0) }
            + lanes.map {
                Finding(check: "lanes", text: "table lanes has no row for lane \($0), so its jobs are never worked")
            }
    }

    /// Whether this role sees the transactions of other roles, so that it finds those that are open for long.
    package func seesAllSessions() throws(PostgresError) -> Bool {
        let rows = try connection.execute(SeesSessionsStatement().statement)
        return rows.bool(0, rows.column("sees_all"))
    }
}
