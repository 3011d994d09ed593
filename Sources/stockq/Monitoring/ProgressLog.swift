import Foundation
import StockModel
import StockQueue
import StockQueuePostgres

/// Writes at intervals what the process did since the last line, so that a log shows what happens to the jobs.
struct ProgressLog {
    private let log: Log
    private let manager: ServiceManager
    private let interval: Duration
    private var next: Deadline
    private var last: (work: WorkMetrics.Totals, requests: (all: Int, failed: Int)?)?
    private var startedAt = ContinuousClock.now

    /// - Parameter interval: between two lines; zero for none.
    init(_ log: Log, _ manager: ServiceManager, interval: Duration) {
        self.log = log
        self.manager = manager
        self.interval = interval
        next = .after(milliseconds: interval > .zero ? interval.milliseconds : .max)
    }

    var isDue: Bool { next.hasPassed }

    var remainingMs: Int { next.remainingMs }

    mutating func write(
        _ totals: WorkMetrics.Totals, _ requests: (all: Int, failed: Int)?, _ reading: QueueReading?
    ) {
        let now = ContinuousClock.now
        let seconds = max(0.001, startedAt.duration(to: now) / .seconds(1))
        let work = last.map { totals - $0.work } ?? totals
        var fields: Log.Fields = [("jobs", work.finished)]
        fields.append(("jobs_per_second", Self.rounded(Double(work.finished) / seconds)))
        fields += work.outcomes.map { ($0.outcome.rawValue, $0.jobs) }
        fields.append(("batches", work.batches))
        fields += work.codes.filter { $0.jobs > 0 }.map { ("rejected_\($0.code.rawValue)", $0.jobs) }
        if let reading { fields += Self.fields(of: reading) }
        if let requests {
            fields.append(("requests", requests.all - (last?.requests?.all ?? 0)))
            fields.append(("requests_failed", requests.failed - (last?.requests?.failed ?? 0)))
        }
        log.write(.info, "progress", fields)
        manager.status(Self.status(work, seconds, reading))
        (last, startedAt) = ((totals, requests), now)
        next = .after(milliseconds: interval.milliseconds)
    }

    private static func fields(of reading: QueueReading) -> Log.Fields {
        [("ready", reading.depth.ready), ("oldest_seconds", age(reading) ?? 0)]
    }

    /// For how long the oldest ready job has waited, seconds.
    private static func age(_ reading: QueueReading) -> Int? {
        reading.depth.oldestReadyAt.map { max(0, Int(reading.readAt.timeIntervalSince($0))) }
    }

    private static func status(_ work: WorkMetrics.Totals, _ seconds: Double, _ reading: QueueReading?) -> String {
        let rate = "\(rounded(Double(work.finished) / seconds)) jobs/s"
        guard let reading else { return rate }
        return "\(rate), \(reading.depth.ready) ready" + (age(reading).map { ", the oldest for \($0) s" } ?? "")
    }

    private static func rounded(_ number: Double) -> Double { (number * 10).rounded() / 10 }
}
