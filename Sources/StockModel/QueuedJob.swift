import Foundation

/// A job that has no result yet.
public struct QueuedJob: Sendable, Hashable {
    /// When the job is worked.
    public enum Schedule: Sendable, Hashable {
        /// As soon as a worker takes its lane.
        case ready
        /// Not before this time: the producer asked for it, or it is the next attempt.
        case deferred(until: Date)
        /// When its store is resumed.
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

    package init(
        jobID: Int64, key: ItemKey, action: StockAction, quantity: Int64, priority: Int, schedule: Schedule,
        waitingSince: Date?, attempts: Int, maxAttempts: Int, lastError: String?, enqueuedAt: Date
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
    }
}

extension QueuedJob: ItemKeyed {}
