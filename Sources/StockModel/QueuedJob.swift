import Foundation

/// A job that has no result yet.
public struct QueuedJob: Sendable, Hashable {
    /// When the job is worked.
    public enum Schedule: Sendable, Hashable {
        /// As soon as a worker takes its lane.
        case ready
        /// Not before this time: the producer asked for it, or it is the next attempt.
        case deferred(until: Date)
        /// When its store, its lane or everything is resumed.
        case paused
    }

    /// The id of the job.
    public let jobID: Int64
    /// The item of the job.
    public let key: ItemKey
    /// What the job does to its item.
    public let action: StockAction
    /// The quantity of the job.
    public let quantity: Int64
    /// 1 (first) to 4 (last).
    public let priority: Int
    /// When the job is worked.
    public let schedule: Schedule
    /// Since when it waits for stock.
    public let waitingSince: Date?
    /// Attempts that the database failed.
    public let attempts: Int
    /// Attempts after which the job ends as failed, 1–1,000.
    public let maxAttempts: Int
    /// The error of the last attempt.
    public let lastError: String?
    /// When the transaction that enqueued the job began.
    public let enqueuedAt: Date
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

    package init(
        jobID: Int64, key: ItemKey, action: StockAction, quantity: Int64, priority: Int, schedule: Schedule,
        waitingSince: Date?, attempts: Int, maxAttempts: Int, lastError: String?, enqueuedAt: Date,
        reason: String?, reference: String?, actor: String?, occurredAt: Date?, metadata: String?, countedAt: Date?
    ) {
        self.jobID = jobID
        self.key = key
        self.action = action
        self.quantity = quantity
        self.priority = priority
        self.schedule = schedule
        self.waitingSince = waitingSince
        self.attempts = attempts
        self.maxAttempts = maxAttempts
        self.lastError = lastError
        self.enqueuedAt = enqueuedAt
        self.reason = reason
        self.reference = reference
        self.actor = actor
        self.occurredAt = occurredAt
        self.metadata = metadata
        self.countedAt = countedAt
    }
}

extension QueuedJob: ItemKeyed {}
