import StockDecision
import StockQueuePostgres

/// The jobs that a committed batch gave results: what the table of results says, for a producer in the same process.
package struct FinishedJobs: Sendable {
    /// A job. The time distinguishes it from another one that gets its id after a crash of the server.
    package struct ID: Sendable {
        package var jobID: Int64
        package var enqueuedAt: Timestamp
    }

    package struct Job: Sendable {
        package var jobID: Int64
        /// Distinguishes the job from another one that gets its id after a crash of the server.
        package var enqueuedAt: Timestamp
        package var outcome: JobOutcome

        package init(jobID: Int64, enqueuedAt: Timestamp, outcome: JobOutcome) {
            self.jobID = jobID
            self.enqueuedAt = enqueuedAt
            self.outcome = outcome
        }
    }

    package var jobs: [Job]
    package var finishedAt: Timestamp

    package init(_ jobs: [Job], finishedAt: Timestamp) {
        self.jobs = jobs
        self.finishedAt = finishedAt
    }
}

/// Takes the finished jobs of a batch, on the thread of its worker.
package typealias FinishedJobsHandler = @Sendable (FinishedJobs) -> Void

extension FinishedJobs {
    init(_ claims: ClaimSet, _ decision: BatchDecision, finishedAt: Timestamp) {
        self.finishedAt = finishedAt
        jobs = []
        jobs.reserveCapacity(decision.finished)
        for (index, job) in decision.jobs.enumerated() {
            guard case .finished(let outcome) = job, !claims.isImmediate(index) else { continue }
            jobs.append(Job(jobID: claims.jobs[index].id, enqueuedAt: claims.enqueuedAts[index], outcome: outcome))
        }
    }
}
