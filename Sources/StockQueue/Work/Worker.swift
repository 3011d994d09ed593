import Postgres

/// One worker: one thread, one connection, one lane at a time.
///
/// Everything here is made in the thread and stays in it; only the board, the stop signal and the event sink are shared.
struct Worker {
    let name: String
    let base: ConnectionSettings
    let schema: Schema
    let settings: WorkerSettings
    let board: LaneBoard
    let lookoutWake: WakePipe
    let stop: StopSignal
    let tell: WorkEventSink

    /// Works lanes until the board or the stop signal ends it.
    func run() {
        var backoff = Backoff(firstMs: settings.reconnectFirstMs, longestMs: settings.reconnectLongestMs)
        while !stop.isFinishing {
            do throws(PostgresError) {
                let connection = try Connection(settings.connection(from: base))
                connection.interruptDescriptor = stop.abortDescriptor
                tell(.connected(worker: name, server: connection.serverVersion))
                let batch = Batch(
                    connection: connection, statements: WorkStatements(schema: schema), settings: settings,
                    workerName: name)
                try workLanes(batch, connection) { backoff.reset() }
                return
            } catch {
                if error.kind == .interrupted { return }
                let pause = backoff.next()
                tell(.disconnected(worker: name, error: error, retryInMs: pause))
                if stop.wait(milliseconds: pause) { return }
            }
        }
    }

    private func workLanes(
        _ batch: Batch, _ connection: Connection, succeeded: () -> Void
    ) throws(PostgresError) {
        var memories = [LaneMemory](repeating: LaneMemory(limit: settings.batchJobsMax), count: LaneBoard.laneCount)
        while !stop.isFinishing, let lane = board.next() {
            var mayHaveMore = false
            do throws(PostgresError) {
                let report = try work(lane, batch, connection, &memories[Int(lane)])
                mayHaveMore = report.mayHaveMore
                succeeded()
                giveBack(lane, mayHaveMore: mayHaveMore, progressed: report.finished > 0 || report.waiting > 0)
            } catch {
                // Whatever made the batch fail, the lane still has work.
                giveBack(lane, mayHaveMore: true, progressed: false)
                throw error
            }
        }
    }

    private func giveBack(_ lane: Int16, mayHaveMore: Bool, progressed: Bool) {
        let isHungry = board.giveBack(lane, mayHaveMore: mayHaveMore)
        if isHungry && progressed { lookoutWake.wake() }
    }

    /// What a worker remembers of a lane between two of its batches. It only saves time; the database has the truth.
    struct LaneMemory {
        /// The most jobs to claim: halved while the database refuses a batch, doubled again when one goes through.
        var limit: Int
        /// Stock rows of this lane were held by somebody else last time: do not wait for them again.
        var skipsHeld = false
        /// Jobs that were left last time stand in front, so that many more are claimed.
        var left = 0
    }

    private func work(
        _ lane: Int16, _ batch: Batch, _ connection: Connection, _ memory: inout LaneMemory
    ) throws(PostgresError) -> BatchReport {
        do {
            let limit = min(memory.limit + memory.left, settings.batchJobsMax + Self.leftJobsMax)
            var report = try batch.run(lane: lane, limit: limit, skipsHeld: memory.skipsHeld)
            if report.claimed > 0 { memory.limit = min(settings.batchJobsMax, memory.limit * 2) }
            memory.left = report.left
            memory.skipsHeld = report.left > 0
            // Nothing but left jobs: the lookout comes back to them, there is no use in claiming them again at once.
            if report.finished == 0 && report.waiting == 0 { report.mayHaveMore = false }
            if report.claimed > 0 { tellBatch(report, lane) }
            return report
        } catch  where error.isCausedByData {
            try halve(lane, batch, connection, &memory, error)
        } catch  where error.sqlState == "55P03" {
            memory.skipsHeld = true
        } catch  where error.isMissingPartition {
            try addPartition(connection)
        } catch  where error.kind == .server && !error.endsConnection {
            // Neither the jobs nor the connection: a deadlock, a full disk, a missing privilege. Tell, pause, go on.
            tell(.batchFailed(worker: name, lane: Int(lane), error: error))
            _ = stop.wait(milliseconds: Int.random(in: 25...100))
        }
        return BatchReport(mayHaveMore: true)
    }

    /// The most jobs, beyond a batch, that are claimed because those in front of them are left. Bounds the memory.
    private static let leftJobsMax = 50_000

    private func halve(
        _ lane: Int16, _ batch: Batch, _ connection: Connection, _ memory: inout LaneMemory, _ error: PostgresError
    ) throws(PostgresError) {
        if memory.limit > 1 {
            tell(.batchRefused(worker: name, lane: Int(lane), jobs: memory.limit, error: error))
            memory.limit = max(1, min(memory.limit, batch.lastClaimed) / 2)
            return
        }
        if let gaveUp = try batch.settleFailure(lane: lane, error: error) {
            tell(.jobRefused(worker: name, lane: Int(lane), gaveUp: gaveUp, error: error))
        }
    }

    private func addPartition(_ connection: Connection) throws(PostgresError) {
        var parameters = Parameters()
        parameters.add(Int64(settings.jobsPerPartition))
        parameters.add(Int32(settings.partitionsAhead))
        let added = try connection.execute(LookoutStatements(schema: schema).addPartitions, parameters)
        tell(.partitionsAdded(Int(added.int32(0, 0))))
    }

    private func tellBatch(_ report: BatchReport, _ lane: Int16) {
        tell(
            .batch(
                worker: name, lane: Int(lane), claimed: report.claimed, finished: report.finished,
                applied: report.applied,
                rejected: report.rejected, waiting: report.waiting, left: report.left,
                notifications: report.notifications))
    }
}
