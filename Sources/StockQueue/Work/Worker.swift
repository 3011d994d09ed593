import StockQueueLocking
import StockQueuePostgres

/// One worker: one thread, one connection, one lane at a time.
///
/// Everything here is made in the thread and stays in it; only the laneQueue, the stop signal and the event sink are shared.
struct Worker {
    let name: String
    let connection: Connection
    let schema: QueueSchema
    let settings: WorkerSettings
    let laneQueue: LaneQueue
    let marks: LowWaterMarks
    let tupleCache: ItemTupleCache
    let sample: ChangedItemSample
    let pollerWakeUp: WakePipe
    let stop: StopSignal
    let onEvent: WorkEventHandler
    /// What the worker learned about the lanes; it outlives the connection.
    let tunings: LaneTunings

    /// Works lanes until the laneQueue or the stop signal ends it.
    func workLanes(_ succeeded: () -> Void) throws(PostgresError) {
        let batch = Batch(
            connection: connection, statements: WorkStatements(schema: schema), settings: settings, workerName: name,
            sample: sample)
        var tunings = self.tunings.lanes.withLock { $0 }
        defer { self.tunings.lanes.withLock { $0 = tunings } }
        while !stop.isFinishing, let lane = laneQueue.next() {
            var keepsLane = false
            defer { if keepsLane { laneQueue.stopKeepingLane() } }
            do throws(PostgresError) {
                var visit: Visit
                repeat {
                    visit = try work(lane, batch, &tunings[Int(lane)])
                    succeeded()
                    if visit.isDeep && !keepsLane { keepsLane = laneQueue.canKeepLane() }
                } while keepsLane && visit.isDeep && !stop.isFinishing
                let isHungry = laneQueue.release(lane, visit.then)
                if isHungry && visit.progressed { pollerWakeUp.wake() }
            } catch {
                // Whatever made the batch fail, the lane still has work.
                _ = laneQueue.release(lane, .again)
                throw error
            }
        }
    }

    /// What a worker remembers of a lane between two of its batches. It only saves time; the database has the truth.
    struct LaneTuning {
        /// The most jobs to claim: halved while the database refuses a batch and when one took too long, doubled again when
        /// one went through quickly.
        var limit: Int
        /// Stock rows of this lane were held by somebody else last time: do not wait for them again.
        var skipsLockedItems = false
        /// Jobs that were left last time stand in front, so that many more are claimed.
        var left = 0
        /// For how many batches to ask which idempotency keys were used before: mostly none was, and finding that out costs more
        /// than to be wrong now and then.
        var batchesThatReadKeys = 0
        /// The lane was busy at every visit; when it still is by this time, whoever has it may be frozen.
        var holderMayBeStalledAt: Deadline?
        /// How long to leave the lane alone after an error that is nobody's in particular.
        var afterFailure = Backoff(firstMs: 50, longestMs: 5_000)

        mutating func adapt(to tookMs: Int, claimed: Int, _ settings: WorkerSettings) {
            if tookMs > settings.batchLongestMs {
                // Half of what it was, not of what it might have been; a wait for a lock says nothing about a few jobs.
                limit = max(min(limit, claimed) / 2, min(limit, Self.leastLimit))
            } else if tookMs * 2 < settings.batchLongestMs {
                limit = min(settings.batchJobsMax, limit * 2)
            }
        }

        /// A slow batch is never made smaller than this.
        private static let leastLimit = 500
    }

    private struct Visit {
        var then: LaneQueue.Then
        /// Something was done, so that other lanes may have work by now.
        var progressed = false

        /// The batch was as large as allowed, and there is more.
        var isDeep: Bool {
            if case .again = then { progressed } else { false }
        }
    }

    private func work(
        _ lane: Int16, _ batch: Batch, _ tuning: inout LaneTuning
    ) throws(PostgresError) -> Visit {
        do {
            let limit = min(tuning.limit + tuning.left, settings.batchJobsMax + Self.leftJobsMax)
            let view = marks.view(of: lane)
            let started = Stopwatch()
            var places = tupleCache.take(lane)
            let report = try batch.run(
                lane: lane, limit: limit, marks: view.marks, epoch: view.epoch, places: &places,
                skipsLockedItems: tuning.skipsLockedItems,
                readsKeys: tuning.batchesThatReadKeys > 0)
            tupleCache.put(places, of: lane)
            for promoted in report.promotions {
                marks.lower(lane: promoted.lane, priority: promoted.priority, below: promoted.id)
            }
            if report.laneWasBusy {
                try watchBusyLane(&tuning)
                return Visit(then: .rest(milliseconds: Self.busyLaneRestMs))
            }
            tuning.holderMayBeStalledAt = nil
            if let epoch = report.epoch, epoch != view.epoch { marks.reset(lane, to: epoch) }
            if report.marksWereStale { return Visit(then: .again) }
            if report.keyWasTaken || report.metUsedKeys {
                tuning.batchesThatReadKeys = Self.batchesAfterUsedKeys
            } else {
                tuning.batchesThatReadKeys = max(0, tuning.batchesThatReadKeys - 1)
            }
            if report.keyWasTaken { return Visit(then: .again) }
            if report.claimed == 0 && report.paused == 0 { return Visit(then: .idle) }
            if report.left == 0, let last = report.last { marks.raise(lane, from: view, upTo: last) }
            let tookMs = started.milliseconds
            tuning.adapt(to: tookMs, claimed: report.claimed, settings)
            tuning.left = report.left
            tuning.skipsLockedItems = report.left > 0
            tuning.afterFailure.reset()
            reportBatch(report, lane)
            // Nothing but left jobs: there is no use in claiming them again at once.
            if report.finished == 0 && report.waiting == 0 && report.paused == 0 {
                return Visit(then: .rest(milliseconds: Self.heldRestMs))
            }
            return Visit(then: report.mayHaveMore ? .again : .idle, progressed: true)
        } catch  where error.isCausedByData {
            return Visit(then: try halve(lane, batch, &tuning, error))
        } catch  where error.sqlState == "55P03" {
            tuning.skipsLockedItems = true
            return Visit(then: .again)
        } catch  where error.isMissingPartition {
            return Visit(then: try buildPartitions(after: error, lane, &tuning))
        } catch  where error.kind == .deadline || error.sqlState == "57014" {
            // Too much for the time there is: the next one is smaller, on this connection or another.
            let claimed = batch.last.claimed
            tuning.limit = max(1, (claimed > 0 ? min(tuning.limit, claimed) : tuning.limit) / 2)
            if error.isConnectionFatal { throw error }
            return Visit(then: rest(after: error, lane, &tuning))
        } catch  where error.kind == .server && !error.isConnectionFatal && !error.isReadOnlyServer {
            // Neither the jobs nor the connection: a deadlock, a full disk, a missing privilege. Tell, rest, go on.
            return Visit(then: rest(after: error, lane, &tuning))
        }
    }

    /// The most jobs, beyond a batch, that are claimed because those in front of them are left. Bounds the tuning.
    private static let leftJobsMax = 50_000
    /// After a batch with a key that was used before, so many read them.
    private static let batchesAfterUsedKeys = 100
    /// How long a lane is left alone that another process holds, and one of which all jobs are held by somebody else.
    private static let busyLaneRestMs = 20
    private static let heldRestMs = 50

    /// Ends the sessions that hold a lane and wait for a client that says nothing.
    ///
    /// The server does so itself after `idle_in_transaction_session_timeout`, but not where the client fell silent in the
    /// middle of a pipeline: no timeout of the server runs between two messages then (`PostgresMain` starts them only behind
    /// a ReadyForQuery), and a frozen worker would keep its lane for ever.
    private func watchBusyLane(_ tuning: inout LaneTuning) throws(PostgresError) {
        let limitMs = settings.idleInTransactionTimeoutMs
        guard let due = tuning.holderMayBeStalledAt else {
            tuning.holderMayBeStalledAt = .after(milliseconds: limitMs)
            return
        }
        guard due.hasPassed else { return }
        tuning.holderMayBeStalledAt = .after(milliseconds: limitMs)
        var parameters = Parameters()
        parameters.add(Int64(limitMs))
        let ended = try connection.executeAlone(PollerStatements(schema: schema).terminateStalledSessions, parameters)
            .int64(
                0, 0)
        if ended > 0 { onEvent(.stalledSessionsTerminated(Int(ended))) }
    }

    private func buildPartitions(
        after missing: PostgresError, _ lane: Int16, _ tuning: inout LaneTuning
    ) throws(PostgresError) -> LaneQueue.Then {
        do throws(PostgresError) {
            let added = try Maintenance.addPartitions(connection, schema, settings)
            // None to build, and yet one is missing: somebody detached it. Spinning would not bring it back.
            if added == 0 { return rest(after: missing, lane, &tuning) }
            onEvent(.partitionsAdded(added))
            return .again
        } catch {
            // Another worker is at it, or this role may not.
            if error.isConnectionFatal { throw error }
            return rest(after: error, lane, &tuning)
        }
    }

    private func halve(
        _ lane: Int16, _ batch: Batch, _ tuning: inout LaneTuning, _ error: PostgresError
    ) throws(PostgresError) -> LaneQueue.Then {
        let extent = batch.last
        tuning.left = extent.left
        if let ids = extent.onlyUnit {
            return try settle(ids, lane, batch, &tuning, error)
        }
        let decided = extent.claimed - extent.left
        if decided > 1 {
            onEvent(.batchHalved(worker: name, lane: Int(lane), jobs: decided, error: error))
            tuning.limit = max(1, min(tuning.limit, decided) / 2)
            return .again
        }
        // Refused before anything was decided: no job's fault that could be found out.
        return rest(after: error, lane, &tuning)
    }

    private func settle(
        _ ids: [Int64], _ lane: Int16, _ batch: Batch, _ tuning: inout LaneTuning, _ error: PostgresError
    ) throws(PostgresError) -> LaneQueue.Then {
        do throws(PostgresError) {
            if let gaveUp = try batch.recordFailure(of: ids, lane: lane, error: error) {
                onEvent(.attemptFailed(worker: name, lane: Int(lane), job: ids[0], gaveUp: gaveUp, error: error))
            }
            return .again
        } catch {
            // It cannot even be set aside: tell, and do not spin on it.
            guard error.isCausedByData else { throw error }
            return rest(after: error, lane, &tuning)
        }
    }

    private func rest(after error: PostgresError, _ lane: Int16, _ tuning: inout LaneTuning) -> LaneQueue.Then {
        let pause = tuning.afterFailure.next()
        onEvent(.batchFailed(worker: name, lane: Int(lane), error: error, retryInMs: pause))
        return .rest(milliseconds: pause)
    }

    private func reportBatch(_ report: BatchReport, _ lane: Int16) {
        onEvent(
            .batch(
                worker: name, lane: Int(lane), claimed: report.claimed, finished: report.finished,
                applied: report.applied,
                rejected: report.rejected, waiting: report.waiting, left: report.left,
                notifications: report.notifications))
    }
}

/// What one worker learned about the lanes.
final class LaneTunings: Sendable {
    let lanes: Mutex<[Worker.LaneTuning]>

    init(_ settings: WorkerSettings) {
        lanes = Mutex(
            [Worker.LaneTuning](
                repeating: Worker.LaneTuning(limit: settings.batchJobsMax), count: LaneQueue.laneCount))
    }
}
