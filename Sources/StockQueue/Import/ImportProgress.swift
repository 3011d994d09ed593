/// How far an import has come.
public struct ImportProgress: Sendable {
    /// Records read, good and bad.
    public var read = 0
    /// Jobs that are in the queue, committed.
    public var enqueued = 0
    /// Records that break a rule, with the other lines of their groups.
    public var rejected = 0
    /// Records whose idempotency key was used before for the same request: not enqueued again. Counted only where the
    /// import derives the keys, or a CSV has a column of them.
    public var duplicates = 0
    /// Each record up to this line of the input is finished: enqueued or rejected.
    public var committedThroughLine = 0
    /// The last line of the input has no line break; its record was imported.
    public var endedInMidLine = false

    public init() {}
}
