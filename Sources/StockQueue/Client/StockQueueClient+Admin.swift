import StockModel

/// What an administrator does. Each call throws `QueueError.notPermitted` for a role that is no administrator of the
/// queue.
extension StockQueueClient {
    /// Cancels queued jobs, groups whole.
    ///
    /// - Returns: the ids of the jobs canceled.
    public func cancel(_ jobs: QueueAdmin.Selection, reason: String? = nil) async throws(QueueError) -> [Int64] {
        try await administer { try $0.cancel(jobs, reason: reason) }
    }

    /// Gives queued jobs another priority, 1 (first) to 4 (last), groups whole.
    ///
    /// - Returns: how many jobs.
    public func reprioritize(_ jobs: QueueAdmin.Selection, to priority: Int) async throws(QueueError) -> Int {
        try await administer { try $0.reprioritize(jobs, to: priority) }
    }

    /// Enqueues finished jobs that changed nothing again, groups whole, each at most once.
    public func retry(_ jobs: [Int64]) async throws(QueueError) -> [QueueAdmin.Retry] {
        try await administer { try $0.retry(jobs) }
    }

    /// Stops the work. When this returns, no worker claims a job there.
    public func pause(_ scope: QueueAdmin.Scope) async throws(QueueError) {
        try await administer { try $0.pause(scope) }
    }

    /// Resumes a paused store, a paused lane, or everything.
    ///
    /// - Returns: how many paused jobs are ready again.
    public func resume(_ scope: QueueAdmin.Scope) async throws(QueueError) -> Int {
        try await administer { try $0.resume(scope) }
    }
}
