/// Times of a job that count from now by the database's clock.
public struct JobDelays: Sendable, Hashable {
    /// The job runs this many seconds from now at the earliest.
    public var runAfterSeconds: Int64?
    /// The job is rejected as expired this many seconds from now.
    public var expireAfterSeconds: Int64?

    public init(runAfterSeconds: Int64? = nil, expireAfterSeconds: Int64? = nil) {
        self.runAfterSeconds = runAfterSeconds
        self.expireAfterSeconds = expireAfterSeconds
    }
}
