/// One SQL statement with the name by which it is prepared, logged and profiled.
package struct Statement: Sendable, Hashable {
    /// Unique among the statements of a connection; at most 63 bytes (the server cuts longer names).
    package let name: String
    package let sql: String
    /// The types of the parameters, in order.
    package let parameterTypes: [TypeOID]

    package init(_ name: String, _ parameterTypes: [TypeOID] = [], _ sql: String) {
        precondition(name.utf8.count <= 63, "statement name too long: \(name)")
        self.name = name
        self.sql = sql
        self.parameterTypes = parameterTypes
    }
}

/// The object identifiers of the built-in types that parameters use; they are fixed in every PostgreSQL
/// (`src/include/catalog/pg_type.dat`).
package enum TypeOID: UInt32, Sendable, Hashable {
    case bool = 16
    case int8 = 20
    case int2 = 21
    case int4 = 23
    case text = 25
    case tid = 27
    case timestamptz = 1184
    case jsonb = 3802
    case jsonbArray = 3807
    case boolArray = 1000
    case int2Array = 1005
    case int4Array = 1007
    case textArray = 1009
    case tidArray = 1010
    case int8Array = 1016
    case timestamptzArray = 1185
    case xid8 = 5069
    case xid8Array = 271

    /// For an array type, the type of its elements.
    var element: TypeOID? {
        switch self {
        case .boolArray: .bool
        case .int2Array: .int2
        case .int4Array: .int4
        case .textArray: .text
        case .tidArray: .tid
        case .int8Array: .int8
        case .timestamptzArray: .timestamptz
        case .jsonbArray: .jsonb
        case .xid8Array: .xid8
        default: nil
        }
    }
}

/// The tuple id (`ctid`) of a row version: a block and a line in it. Valid only while the row is locked.
package struct TupleID: Sendable, Hashable {
    package var block: UInt32
    package var line: UInt16

    package init(block: UInt32, line: UInt16) {
        self.block = block
        self.line = line
    }

    /// The place of no row: `InvalidBlockNumber`.
    package static let none = TupleID(block: .max, line: 0)
}

extension Statement {
    /// READ COMMITTED whatever the database's default is: each statement must see what the lock before it waited for.
    package static let begin = Statement("begin", "BEGIN ISOLATION LEVEL READ COMMITTED")
    /// The same for a session that is not this program's alone: it may have become read-only by default.
    static let beginForWriting = Statement("begin_for_writing", "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
    /// One snapshot for all statements.
    package static let beginSnapshot = Statement("begin_snapshot", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    package static let commit = Statement("commit", "COMMIT")
    package static let rollBack = Statement("roll_back", "ROLLBACK")

    var beginsTransaction: Bool { self == .begin || self == .beginForWriting || self == .beginSnapshot }

    init(_ name: String, _ sql: String) { self.init(name, [], sql) }

    static let applySettings = Statement(
        "apply_settings", [.textArray, .textArray, .bool],
        """
        SELECT set_config(name, value, $3) FROM unnest($1, $2) AS setting (name, value)
        -- A server on Windows cannot watch its clients.
        WHERE name <> 'client_connection_check_interval' OR version() !~ 'Visual C|mingw'
        """)
}
