import StockDecision
import StockQueueLocking
import StockQueuePostgres

/// One worker: one thread, one connection, one lane at a time.
struct Worker: WorkerService {
    let context: ServiceContext
    /// The host, the process and the worker's number, as results record them.
    let name: String
    let role: String
    /// Takes a lane only for a short batch, while all other workers have one. Beside it the others may run long batches,
    /// and a store with a job now and then need not wait for their end.
    let isExpress: Bool
    private let tunings: LaneTunings

    /// - Parameter process: the host and the process.
    init(context: ServiceContext, process: String, number: Int) {
        self.init(context, name: "\(process)/\(number)", role: "worker \(number)", isExpress: false)
    }

    /// The express worker of a process.
    static func express(context: ServiceContext, process: String) -> Worker {
        Worker(context, name: "\(process)/express", role: "express worker", isExpress: true)
    }

    private init(_ context: ServiceContext, name: String, role: String, isExpress: Bool) {
        self.context = context
        self.name = name
        self.role = role
        self.isExpress = isExpress
        tunings = LaneTunings(context.settings)
    }

    func session(_ settings: WorkerSettings) -> [(name: String, value: String)] { settings.batchSession }

    /// Works on lanes until the lane queue or the stop signal ends it.
    func run(on connection: Connection, _ report: ServiceReport) throws(PostgresError) {
        let statements = BatchStatements(context.schema)
        try connection.planAhead(statements.usual(skipsLocked: isExpress))
        let batch = Batch(
            connection: connection, statements: statements, settings: context.settings,
            workerName: name, sample: context.changedItems, onFinished: context.onFinished)
        let terminate = TerminateStalledSessionsStatement(context.schema)
        var lanes = tunings.lanes.withLock { $0 }
        defer { tunings.lanes.withLock { $0 = lanes } }
        while !context.stop.isFinishing, let work = nextWork() {
            let (lane, handover): (Int16, LaneHandover?) =
                switch work {
                case .lane(let lane): (lane, nil)
                case .handover(let handover): (handover.lane, handover)
                }
            report.became(.working(lane: Int(lane)))
            defer { report.became(.idle) }
            var visit = LaneVisit(
                lane: lane, worker: self, batch: batch, terminateStalledSessions: terminate,
                tuning: lanes[Int(lane)], report: report, ownsLane: handover == nil)
            // The express worker may come back to a lane hours later. What it learns of an error, another worker learns too.
            defer { if !isExpress { lanes[Int(lane)] = visit.tuning } }
            try self.work(&visit, handover, report)
        }
    }

    private func nextWork() -> LaneQueue.Work? {
        isExpress ? context.laneQueue.nextShort().map { .lane($0) } : context.laneQueue.next()
    }

    private func work(
        _ visit: inout LaneVisit, _ handover: LaneHandover?, _ report: ServiceReport
    ) throws(PostgresError) {
        let queue = context.laneQueue
        var keepsLane = false
        defer { if keepsLane { queue.stopKeepingLane() } }
        do throws(PostgresError) {
            let first = if let handover { try visit.follow(handover) } else { Optional(try visit.runBatch()) }
            guard var step = first else { return }
            while true {
                report.healthy()
                if step.isHandedOver { return }
                if step.hasMore && !keepsLane && !isExpress { keepsLane = queue.keepLane() }
                if !keepsLane || !step.hasMore || context.stop.isFinishing { break }
                step = try visit.runBatch()
            }
            let isQueueEmpty = queue.release(visit.lane, step.disposition)
            if case .cooldown = step.disposition { context.immediateOffers.decline(visit.lane) }
            if isQueueEmpty && step.didWork && !queue.isProducerBusy { context.pollerWakeUp.wake() }
        } catch {
            if visit.ownsLane {
                // Whatever failed the batch, the lane still has work.
                _ = queue.release(visit.lane, .requeue)
                context.immediateOffers.decline(visit.lane)
            }
            throw error
        }
    }
}
