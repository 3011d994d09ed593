import Foundation

/// What became of a job. It keeps the job's own fields, because the job is deleted when it has its result.
public struct JobResult: Sendable, Hashable {
    /// The id of the job.
    public let jobID: Int64
    /// The item of the job.
    public let key: ItemKey
    /// What the job did, or would have done, to its item.
    public let action: StockAction
    /// The quantity of the job.
    public let quantity: Int64
    /// The quantity that took effect: less than `quantity` with the policy `partial`, 0 when nothing was applied.
    public let appliedQuantity: Int64
    /// How the job ended.
    public let outcome: Outcome
    /// Why the job was rejected or did not change its item.
    public let code: ResultCode?
    /// What the result warns of.
    public let warning: ResultWarning?
    /// The item's balance before the job; nil when there was no such item.
    public let before: Balance?
    /// The item's balance after the job; nil when there was no such item.
    public let after: Balance?
    /// The item's version after the job.
    public let version: Int64?
    /// The group id that the producer gave; jobs of one submission with the same one are a group.
    public let groupID: String?
    /// The producer's name for the request, unique in its store.
    public let idempotencyKey: String?
    /// Of a duplicate, the job that used the idempotency key first.
    public let firstJobID: Int64?
    /// The job that this one retried.
    public let retryOf: Int64?
    /// The producer's note, at most 2,000 bytes.
    public let reason: String?
    /// The producer's reference, at most 2,000 bytes.
    public let reference: String?
    /// Who caused the job.
    public let actor: String?
    /// When it happened, if the producer said so.
    public let occurredAt: Date?
    /// The JSON object that the producer kept with the job.
    public let metadata: String?
    /// Of a stock count, when it was taken.
    public let countedAt: Date?
    /// Attempts made, the last one included.
    public let attempts: Int
    /// The worker that finished the job, as `host:process/number`.
    public let worker: String
    /// When the transaction that enqueued the job began.
    public let enqueuedAt: Date
    /// When the transaction of the job's batch began.
    public let finishedAt: Date
    /// The error of a failed job: five characters, see the PostgreSQL manual, appendix A "PostgreSQL Error Codes".
    public let sqlState: String?
    /// The message of that error, or why the job was canceled.
    public let message: String?

    package init(
        jobID: Int64, key: ItemKey, action: StockAction, quantity: Int64, appliedQuantity: Int64, outcome: Outcome,
        code: ResultCode?, warning: ResultWarning?, before: Balance?, after: Balance?, version: Int64?,
        groupID: String?, idempotencyKey: String?, firstJobID: Int64?, retryOf: Int64?, reason: String?,
        reference: String?, actor: String?, occurredAt: Date?, metadata: String?, countedAt: Date?, attempts: Int,
        worker: String, enqueuedAt: Date, finishedAt: Date, sqlState: String?,
        message: String?
    ) {
        self.jobID = jobID
        self.key = key
        self.action = action
        self.quantity = quantity
        self.appliedQuantity = appliedQuantity
        self.outcome = outcome
        self.code = code
        self.warning = warning
        self.before = before
        self.after = after
        self.version = version
        self.groupID = groupID
        self.idempotencyKey = idempotencyKey
        self.firstJobID = firstJobID
        self.retryOf = retryOf
        self.reason = reason
        self.reference = reference
        self.actor = actor
        self.occurredAt = occurredAt
        self.metadata = metadata
        self.countedAt = countedAt
        self.attempts = attempts
        self.worker = worker
        self.enqueuedAt = enqueuedAt
        self.finishedAt = finishedAt
        self.sqlState = sqlState
        self.message = message
    }
}

extension JobResult: ItemKeyed {}
