import StockModel

/// Jobs that a call of the native API enqueues in one transaction, with all their fields.
package struct JobSubmission: Sendable, Hashable {
    /// Not empty; all of one store. Their idempotency keys are set.
    package var jobs: [JobRequest]
    /// Whether the idempotency keys of all jobs come from the key of the call.
    package var isKeyed: Bool
    /// Keys of which the use means that the key of the call was used for another request.
    package var unusedKeys: [String]
    /// Milliseconds after which the caller wants to know only that the jobs are enqueued; nil: it wants their results.
    package var acceptedAfterMs: Int?

    package init(
        _ jobs: [JobRequest], isKeyed: Bool = false, unusedKeys: [String] = [], acceptedAfterMs: Int? = nil
    ) {
        self.jobs = jobs
        self.isKeyed = isKeyed
        self.unusedKeys = unusedKeys
        self.acceptedAfterMs = acceptedAfterMs
    }

    /// The names of its groups. Two submissions with one of the same store and name are not enqueued by one transaction.
    package var groupIDs: Set<String> { Set(jobs.compactMap(\.groupID)) }
}

/// What became of a submission that was enqueued.
package enum SubmissionOutcome: Sendable, Hashable {
    /// A result for each job, in their order.
    case decided([LineResult])
    /// The jobs are in the queue and stay there.
    case accepted([AcceptedJob])
}

/// A job in the queue.
package struct AcceptedJob: Sendable, Hashable {
    package var jobID: Int64
    /// It was enqueued by an earlier call with the same idempotency key.
    package var isDuplicate: Bool

    package init(_ jobID: Int64, isDuplicate: Bool) {
        self.jobID = jobID
        self.isDuplicate = isDuplicate
    }
}

package typealias SubmissionAnswer = Result<SubmissionOutcome, CallFailure>

extension StockCall {
    /// - Parameter access: to a named store.
    package init(_ access: Access, _ submission: JobSubmission, deadlineMs: Int) {
        let lines = submission.jobs.map { job in
            var line = StockLine(item: job.itemID, job.action, job.quantity)
            line.locationID = job.locationID
            return line
        }
        self.init(access, lines, deadlineMs: deadlineMs)
        self.submission = submission
    }
}
