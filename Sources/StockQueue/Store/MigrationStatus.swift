import StockQueuePostgres

/// What `stockq migrate --status` reports of one SQL file.
public struct MigrationStatus: Sendable {
    public enum State: String, Sendable {
        case applied
        /// Another text of the file is applied.
        case outdated
        case missing
    }

    /// `numbered`, `repeatable`, or `wakeup_trigger`, which is optional.
    public let kind: String
    /// The file's path below `migrations/`.
    public let name: String
    public let state: State
    /// When it was applied last; nil if it was not.
    public let appliedAt: Timestamp?
}
