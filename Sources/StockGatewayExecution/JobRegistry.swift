import StockDecision
import StockGateway
import StockModel
import StockQueue
import StockQueueLocking
import StockQueuePostgres

/// The jobs whose results the calls of this process wait for, by id, so that workers of this process can hand over what
/// they have decided without a look at the database.
///
/// A job is known here before its transaction commits, so no worker is faster.
final class JobRegistry: Sendable {
    private struct Entry {
        let pending: PendingCall
        let line: Int
        let enqueuedAt: Timestamp
    }

    /// A call that a batch has finished.
    struct Finished {
        let pending: PendingCall
        /// nil: a job is a duplicate of another one, whose result the database has.
        let results: [LineResult]?
    }

    private let entries = Mutex<[Int64: Entry]>([:])

    /// Adds the jobs of calls.
    func add(_ calls: [(pending: PendingCall, jobs: [EnqueuedJob])]) {
        entries.withLock { entries in
            for (pending, jobs) in calls {
                for (line, job) in jobs.enumerated() {
                    entries[job.jobID] = Entry(pending: pending, line: line, enqueuedAt: job.enqueuedAt)
                }
            }
        }
    }

    /// Removes the jobs of a call that has its answer.
    func remove(_ jobs: [EnqueuedJob]) {
        entries.withLock { entries in
            for job in jobs where entries[job.jobID]?.enqueuedAt == job.enqueuedAt { entries[job.jobID] = nil }
        }
    }

    /// Takes what a worker has committed.
    func take(_ finished: FinishedJobs) -> [Finished] {
        let taken: [(entry: Entry, job: FinishedJobs.Job)] = entries.withLock { entries in
            if entries.isEmpty { return [] }
            var taken: [(Entry, FinishedJobs.Job)] = []
            for job in finished.jobs {
                guard let entry = entries[job.jobID], entry.enqueuedAt == job.enqueuedAt else { continue }
                entries[job.jobID] = nil
                taken.append((entry, job))
            }
            return taken
        }
        return taken.compactMap { entry, job in
            if case .duplicate = job.outcome { return Finished(pending: entry.pending, results: nil) }
            let result = LineResult(job, entry.pending.call.lines[entry.line], finishedAt: finished.finishedAt)
            return entry.pending.take(result, ofLine: entry.line).map {
                Finished(pending: entry.pending, results: $0)
            }
        }
    }
}

extension LineResult {
    /// What the table of results says about the job of a line.
    init(_ job: FinishedJobs.Job, _ line: StockLine, finishedAt: Timestamp) {
        let change = job.outcome.change
        self.init(
            jobID: job.jobID, itemID: line.itemID, locationID: line.locationID, action: line.action,
            quantity: line.quantity, appliedQuantity: change?.quantity ?? 0, outcome: job.outcome.outcome,
            code: job.outcome.code, warning: change?.warnsNegativeStock == true ? .negativeStock : nil,
            before: job.outcome.before, after: job.outcome.after, finishedAt: finishedAt.microsecondsSince2000)
    }
}
