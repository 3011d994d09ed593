/// Why a schema cannot be used or migrated. What the database reports is a `PostgresError`.
public enum QueueSchemaError: Error, Sendable, Hashable {
    case notMigrated(schema: String)
    /// The schema has migrations that this program does not know.
    case newer(schema: String, name: String)
    /// The schema lacks files that this program has, or has an older text of them.
    case behind(schema: String, files: [String])
    /// A numbered file that was applied has changed since.
    case changed(schema: String, name: String)
    /// Other sessions held the tables for the whole time that the migration was to wait. What was committed before
    /// stays; the migration can be run again.
    case locked(schema: String, holders: [LockHolder], waited: String)
}

extension QueueSchemaError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .notMigrated(let schema):
            "schema \(schema) is not migrated; run: \(Self.migrateCommand(schema))"
        case .newer(let schema, let name):
            "schema \(schema) was migrated by a newer stockq (it has \(name)); use that version or a later one"
        case .behind(let schema, let files):
            "schema \(schema) is older than this program (\(files.joined(separator: ", "))); "
                + "run: \(Self.migrateCommand(schema))"
        case .changed(let schema, let name):
            "migration \(name) was applied to schema \(schema) and has changed since; "
                + "restore the file, and put the change into a new one"
        case .locked(let schema, let holders, let waited):
            "schema \(schema) was not migrated: within \(waited) its tables could not be locked"
                + (holders.isEmpty ? "" : ", because of \(holders.map(\.description).joined(separator: " and "))")
                + "; nothing was changed. End those transactions, then run: \(Self.migrateCommand(schema))"
        }
    }

    private static func migrateCommand(_ schema: String) -> String { QueueSchema.migrateCommand(schema) }
}

extension QueueSchema {
    /// The command that migrates this very schema, to be copied into a shell.
    package var migrateCommand: String { Self.migrateCommand(name) }

    fileprivate static func migrateCommand(_ schema: String) -> String {
        let isPlain = schema.utf8.allSatisfy { byte in
            byte == UInt8(ascii: "_")
                || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
                || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
        }
        let quoted =
            isPlain
            ? schema
            : "'" + schema.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
        return "stockq migrate --schema \(quoted)"
    }
}
