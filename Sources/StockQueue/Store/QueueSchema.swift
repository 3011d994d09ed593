import StockQueuePostgres

/// The name of the schema that a queue lives in. Several independent queues fit into one database.
public struct QueueSchema: Sendable, Hashable {
    /// The name of the schema where no other is given.
    public static let defaultName = "stockq"

    /// As the user wrote it. The channel of the wake-ups has the same name.
    public let name: String
    /// For use in SQL.
    package let quoted: String

    /// What names are allowed, for messages.
    package static let nameRule = "a name of 1 to 54 bytes without control characters that does not begin with pg_"

    /// PostgreSQL's limit for names is 63 bytes, and the names of the roles begin with that of the schema:
    /// `stockq_producer`.
    package static let nameBytes = 1...54

    /// - Parameter name: 1-54 bytes. The result is nil for any other name, for names that PostgreSQL reserves, and for
    ///   names with line breaks or other invisible characters.
    public init?(_ name: String) {
        guard Self.nameBytes.contains(name.utf8.count), !name.hasPrefix("pg_"),
            name.unicodeScalars.allSatisfy(Self.isVisible)
        else { return nil }
        self.name = name
        quoted = quoteIdentifier(name)
    }

    private static func isVisible(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .unassigned, .privateUse: false
        default: true
        }
    }

    /// The schema of the default name.
    public static let standard = QueueSchema(defaultName)!
}
