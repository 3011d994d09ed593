import Metrics
import StockModel
import StockQueue
import StockQueuePostgres

/// Counts what the workers of this process do.
final class WorkMetrics: Sendable {
    private let outcomes: [(outcome: Outcome, counter: Counter)]
    private let codes: [(code: ResultCode, outcome: Outcome, counter: Counter)]
    private let latency: Histogram
    private let batchDuration: Histogram
    private let batchJobs: Histogram
    private let waiting: Counter
    private let skipped: Counter
    private let promoted: Counter
    private let paused: Counter
    private let notifications: Counter
    private let delivered: Counter
    private let notDelivered: Counter
    private let disabledSubscriptions: Counter
    private let halvedBatches: Counter
    private let failedBatches: Counter
    private let failedAttempts: Counter
    private let violations: Counter
    private let failedMaintenance: Counter
    private let failedChecks: Counter
    private let terminatedSessions: Counter
    private let connections: ConnectionMetrics

    private static let batchSeconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
    private static let batchSizes: [Double] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 20_000]

    init(_ registry: MetricsRegistry, _ connections: ConnectionMetrics) {
        self.connections = connections
        let jobs = registry.counters(
            "stockq_jobs", "Jobs that workers of this process gave a result, by outcome and code.",
            labels: ["outcome", "code"])
        outcomes = [Outcome.applied, .duplicate, .failed].map { ($0, jobs[$0.rawValue, ""]) }
        codes = ResultCode.allCases.map { ($0, $0.outcome, jobs[$0.outcome.rawValue, $0.rawValue]) }
        latency = registry.histogram(
            "stockq_job_latency_seconds", "From the enqueueing of a job to the commit of its result.",
            bounds: JobLatencies.bounds.map { $0 / .seconds(1) })
        batchDuration = registry.histogram(
            "stockq_batch_duration_seconds", "From the claim of a batch to the end of its COMMIT.",
            bounds: Self.batchSeconds)
        batchJobs = registry.histogram(
            "stockq_batch_jobs", "Jobs that a batch gave a result.", bounds: Self.batchSizes)
        waiting = registry.counter("stockq_jobs_waiting", "Jobs that were deferred until stock rises.")
        skipped = registry.counter(
            "stockq_jobs_skipped", "Claimed jobs that stayed for a later batch, because a row was locked.")
        promoted = registry.counter(
            "stockq_jobs_promoted", "Deferred jobs that became ready: due ones, and those that waited for stock.")
        paused = registry.counter(
            "stockq_jobs_paused", "Claimed jobs that were put off, because their store is paused.")
        notifications = registry.counter("stockq_notifications", "Notifications that batches wrote.")
        let deliveries = registry.counters(
            "stockq_delivery_attempts", "Attempts to deliver a message to a subscription.", labels: ["result"])
        (delivered, notDelivered) = (deliveries["delivered"], deliveries["failed"])
        disabledSubscriptions = registry.counter(
            "stockq_subscriptions_disabled", "Subscriptions that were disabled, because their receivers failed.")
        halvedBatches = registry.counter(
            "stockq_batches_halved", "Batches with an error after which smaller ones looked for the job at fault.")
        failedBatches = registry.counter(
            "stockq_batches_failed", "Batches with an error that no job is known to have caused.")
        failedAttempts = registry.counter(
            "stockq_job_attempts_failed", "Attempts of jobs or groups for which the database raised an error.")
        violations = registry.counter("stockq_ledger_violations", "Violations that the ledger checker found.")
        failedMaintenance = registry.counter("stockq_maintenance_failures", "Rounds of maintenance that failed.")
        failedChecks = registry.counter("stockq_ledger_check_failures", "Checks of the ledger that could not run.")
        terminatedSessions = registry.counter(
            "stockq_stalled_sessions_terminated", "Sessions of stalled clients that were terminated.")
    }

    /// Called by the threads of the workers, with each batch once.
    func record(_ event: WorkEvent) {
        switch event {
        case .batch(let batch): record(batch)
        case .batchHalved(let event):
            halvedBatches.add()
            connections.count(event.error)
        case .batchFailed(let event):
            failedBatches.add()
            connections.count(event.error)
        case .attemptFailed(let event):
            failedAttempts.add()
            if event.isFinal { outcomes.first { $0.outcome == .failed }?.counter.add(event.jobs) }
            connections.count(event.error)
        case .connected(let event): connections.connected(event.service)
        case .disconnected(let event): connections.disconnected(event.service, event.error)
        case .promoted(let event): promoted.add(event.jobs)
        case .deliveriesEnded(let event):
            delivered.add(event.delivered)
            notDelivered.add(event.failed)
        case .subscriptionDisabled: disabledSubscriptions.add()
        case .integrityViolation: violations.add()
        case .maintenanceFailed(let error):
            failedMaintenance.add()
            connections.count(error)
        case .exportFailed: failedMaintenance.add()
        case .ledgerCheckFailed(let error):
            failedChecks.add()
            connections.count(error)
        case .stalledSessionsTerminated(let event): terminatedSessions.add(event.count)
        case .started, .partitionsAdded, .partitionDropped, .transactionOpenLong, .stopping, .stopped: break
        }
    }

    private func record(_ batch: WorkEvent.BatchCommitted) {
        for (outcome, counter) in outcomes { counter.add(batch.outcomes[outcome]) }
        for (code, _, counter) in codes { counter.add(batch.outcomes[code]) }
        latency.add(batch.latencies.counts, sum: batch.latencies.sum / .seconds(1))
        batchDuration.observe(batch.duration / .seconds(1))
        batchJobs.observe(Double(batch.finished))
        waiting.add(batch.waiting)
        skipped.add(batch.skipped)
        promoted.add(batch.promoted)
        paused.add(batch.paused)
        notifications.add(batch.notifications)
    }

    // MARK: totals

    /// What the log says of a minute.
    struct Totals {
        var outcomes: [(outcome: Outcome, jobs: Int64)]
        var codes: [(code: ResultCode, jobs: Int64)]
        var batches: Int64

        var finished: Int64 { outcomes.reduce(0) { $0 + $1.jobs } }

        static func - (left: Totals, right: Totals) -> Totals {
            Totals(
                outcomes: zip(left.outcomes, right.outcomes).map { ($0.outcome, $0.jobs - $1.jobs) },
                codes: zip(left.codes, right.codes).map { ($0.code, $0.jobs - $1.jobs) },
                batches: left.batches - right.batches)
        }
    }

    var totals: Totals {
        func jobs(_ outcome: Outcome) -> Int64 {
            outcomes.first { $0.outcome == outcome }?.counter.value
                ?? codes.filter { $0.outcome == outcome }.reduce(0) { $0 + $1.counter.value }
        }
        return Totals(
            outcomes: [Outcome.applied, .unchanged, .rejected, .duplicate, .failed].map { ($0, jobs($0)) },
            codes: codes.filter { $0.outcome == .rejected }.map { ($0.code, $0.counter.value) },
            batches: batchJobs.count)
    }
}

extension ResultCode {
    /// The outcome that a result with the code has.
    fileprivate var outcome: Outcome { self == .untracked || self == .noChange ? .unchanged : .rejected }
}

/// Counts the connections of the services of this process, and the errors of the database.
final class ConnectionMetrics: Sendable {
    private let made: MetricFamily<Counter>
    private let lost: MetricFamily<Counter>
    private let errors: MetricFamily<Counter>

    /// Errors that an administrator looks for; a first one must not go unseen because its counter began with it.
    private static let states: [SQLState] = [
        .lockNotAvailable, .deadlockDetected, .queryCanceled, .tooManyConnections, .cannotConnectNow,
        .readOnlyTransaction, .insufficientPrivilege, .uniqueViolation, .checkViolation,
    ]

    init(_ registry: MetricsRegistry) {
        made = registry.counters("stockq_connects", "Connections that services made.", labels: ["service"])
        lost = registry.counters(
            "stockq_disconnects", "Connections that services lost, or could not make.", labels: ["service"])
        errors = registry.counters(
            "stockq_errors", "Errors of the database by SQLSTATE; none for those of the connection.",
            labels: ["sqlstate"])
        for state in ["none"] + Self.states.map(\.rawValue) { _ = errors[state] }
    }

    /// Begins with zeros for the services that this process has.
    func expect(_ services: [String]) {
        for service in Set(services.map(Self.kind)).sorted() { (_, _) = (made[service], lost[service]) }
    }

    func connected(_ service: String) { made[Self.kind(of: service)].add() }

    func disconnected(_ service: String, _ error: PostgresError) {
        lost[Self.kind(of: service)].add()
        count(error)
    }

    func count(_ error: PostgresError) { errors[error.sqlState?.rawValue ?? "none"].add() }

    /// `worker` for `host:4711/2`, and `calls` for `calls 2`.
    private static func kind(of service: String) -> String {
        if service.contains("/") { return "worker" }
        let words = service.split(separator: " ")
        return words.count > 1 && words.last.flatMap { Int($0) } != nil
            ? words.dropLast().joined(separator: " ") : service
    }
}
