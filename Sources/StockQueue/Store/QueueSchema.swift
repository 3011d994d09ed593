import StockQueuePostgres

/// The name of the schema that a queue lives in. Several independent queues fit into one database.
public struct QueueSchema: Sendable, Hashable {
    /// The name of the schema where no other is given.
    public static let defaultName = "stockq"

    /// As the user wrote it. The channel of the wake-ups has the same name.
    public let name: String
    /// For use in SQL.
    package let quoted: String

    /// - Parameter name: 1–63 bytes, PostgreSQL's limit for identifiers. The result is nil for any other name, and for
    ///   names that PostgreSQL reserves.
    public init?(_ name: String) {
        guard (1...63).contains(name.utf8.count), !name.hasPrefix("pg_"), !name.contains("\0") else { return nil }
        self.name = name
        quoted = quoteIdentifier(name)
    }

    /// The schema of the default name.
    public static let standard = QueueSchema(defaultName)!
}
