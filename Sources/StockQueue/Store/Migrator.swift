import StockQueueMigrations
import StockQueuePostgres

/// What `stockq migrate` tells of one migration.
public struct MigrationStatus: Sendable {
    public let number: Int
    public let name: String
    /// Nil: not applied yet.
    public let appliedAt: Timestamp?
}

/// Why a schema cannot be used or migrated.
public enum SchemaError: Error, Sendable, Hashable {
    case notMigrated(schema: String)
    /// The schema has migrations that this program does not know.
    case newer(schema: String, name: String)
    /// The schema lacks migrations that this program has.
    case behind(schema: String, missing: [String])
    /// A file that was applied has changed since.
    case changed(name: String)
    case database(PostgresError)
}

extension SchemaError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .notMigrated(let schema): "schema \(schema) is not migrated; run: stockq migrate"
        case .newer(let schema, let name):
            "schema \(schema) was migrated by a newer stockq (it has \(name)); use that version or a later one"
        case .behind(let schema, let missing):
            "schema \(schema) lacks \(missing.joined(separator: ", ")); run: stockq migrate"
        case .changed(let name):
            "migration \(name) was applied and has changed since; restore the file, and put the change into a new one"
        case .database(let error): error.description
        }
    }
}

/// Brings a schema to the version of this program. Forward only; each migration in a transaction of its own.
public struct Migrator {
    private let connection: Connection
    private let schema: QueueSchema
    private let migrations: [Migration]

    public init(connection: Connection, schema: QueueSchema) {
        self.init(connection: connection, schema: schema, migrations: Migration.all)
    }

    /// With migrations other than this program's, numbered from 1 without gaps.
    public init(connection: Connection, schema: QueueSchema, migrations: [Migration]) {
        self.connection = connection
        self.schema = schema
        self.migrations = migrations
    }

    /// Applies what is missing.
    ///
    /// Two at once are safe: each transaction first takes the same advisory lock and then looks what is there.
    ///
    /// - Parameter applied: called with the name of each migration once it is in force.
    public func migrate(applied: (String) -> Void = { _ in }) throws(SchemaError) {
        for migration in migrations {
            if try apply(migration) { applied(migration.name) }
        }
        try check()
    }

    /// Checks that the schema is exactly at this program's version, without changing anything.
    public func check() throws(SchemaError) {
        let recorded = try recordedMigrations()
        if recorded.isEmpty { throw .notMigrated(schema: schema.name) }
        try compare(recorded)
        let missing = migrations.filter { migration in !recorded.contains { $0.number == migration.number } }
        if !missing.isEmpty { throw .behind(schema: schema.name, missing: missing.map(\.name)) }
    }

    /// Every migration that this program knows or the schema has, in order.
    public func status() throws(SchemaError) -> [MigrationStatus] {
        let recorded = try recordedMigrations()
        let known = migrations.map { migration in
            MigrationStatus(
                number: migration.number, name: migration.name,
                appliedAt: recorded.first { $0.number == migration.number }?.appliedAt)
        }
        let newer = recorded.filter { $0.number > migrations.count }
        return known + newer.map { MigrationStatus(number: $0.number, name: $0.name, appliedAt: $0.appliedAt) }
    }

    // MARK: one migration

    private func apply(_ migration: Migration) throws(SchemaError) -> Bool {
        do {
            try connection.execute(.begin)
            let isNew = try applyInTransaction(migration)
            try connection.commit()
            return isNew
        } catch let error as SchemaError {
            try? connection.rollBack()  // the first error is the one to tell
            throw error
        } catch let error as PostgresError {
            try? connection.rollBack()
            throw .database(error)
        } catch {
            preconditionFailure("only database and schema errors are thrown here: \(error)")
        }
    }

    private func applyInTransaction(_ migration: Migration) throws -> Bool {
        try lockMigrations()
        try connection.executeScript(
            """
            CREATE SCHEMA IF NOT EXISTS \(schema.quoted);
            CREATE TABLE IF NOT EXISTS \(schema.quoted).migrations (
                number integer PRIMARY KEY,
                name text NOT NULL,
                checksum text NOT NULL,
                applied_at timestamptz NOT NULL DEFAULT now()
            );
            """)
        let recorded = try recordedMigrations()
        try compare(recorded)
        if recorded.contains(where: { $0.number == migration.number }) { return false }
        try connection.executeScript(
            migration.sql.replacingPlaceholder(with: schema.quoted), timeoutMs: Self.migrationTimeoutMs)
        var parameters = Parameters()
        parameters.add(Int32(migration.number))
        parameters.add(migration.name)
        parameters.add(migration.sql)
        try connection.execute(
            Statement(
                "record_migration", [.int4, .text, .text],
                "INSERT INTO \(schema.quoted).migrations (number, name, checksum) "
                    + "VALUES ($1, $2, encode(sha256(convert_to($3, 'UTF8')), 'hex'))"), parameters)
        return true
    }

    private func lockMigrations() throws(PostgresError) {
        try connection.execute(
            Statement("lock_migrations", [.text], "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"),
            text("stockq migrate \(schema.name)"))
    }

    // MARK: roles

    /// Gives the queue's roles their privileges, and creates those that are not there (migrations/roles.sql). Safe to run again.
    ///
    /// - Returns: false where a role is missing and this user may not create it; `rolesScript` is for somebody who may.
    public func makeRoles() throws(PostgresError) -> Bool {
        try connection.transaction { () throws(PostgresError) in
            try lockMigrations()
            let may = try connection.execute(
                Statement(
                    "may_make_roles", [.text],
                    """
                    SELECT count(*) = 4 OR (SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user)
                    FROM pg_roles
                    WHERE rolname = ANY (ARRAY[$1 || '_producer', $1 || '_worker', $1 || '_reader', $1 || '_admin'])
                    """), text(schema.name)
            ).bool(0, 0)
            if may { try connection.executeScript(rolesScript) }
            return may
        }
    }

    /// What `makeRoles` runs.
    public var rolesScript: String { Migration.roles.replacingPlaceholder(with: schema.quoted) }

    /// A migration may rewrite a large table; an hour is a bound, not an expectation.
    private static let migrationTimeoutMs = 3_600_000

    // MARK: what is recorded

    private struct Recorded {
        var number: Int
        var name: String
        var checksum: String
        var appliedAt: Timestamp
    }

    private func recordedMigrations() throws(SchemaError) -> [Recorded] {
        do {
            let exists = try connection.execute(
                Statement("find_migrations", [.text], "SELECT to_regclass($1) IS NOT NULL"),
                text("\(schema.quoted).migrations"))
            if !exists.bool(0, 0) { return [] }
            let rows = try connection.execute(
                Statement(
                    "read_migrations", [],
                    "SELECT number, name, checksum, applied_at FROM \(schema.quoted).migrations ORDER BY number"))
            return (0..<rows.rowCount).map { row in
                Recorded(
                    number: Int(rows.int32(row, 0)), name: rows.string(row, 1), checksum: rows.string(row, 2),
                    appliedAt: rows.timestamp(row, 3))
            }
        } catch {
            throw .database(error)
        }
    }

    private func compare(_ recorded: [Recorded]) throws(SchemaError) {
        for record in recorded {
            guard let migration = migrations.first(where: { $0.number == record.number }) else {
                throw .newer(schema: schema.name, name: record.name)
            }
            if try checksum(migration.sql) != record.checksum { throw .changed(name: migration.name) }
        }
    }

    /// Computed by the server, so that there is one way to compute it.
    private func checksum(_ sql: String) throws(SchemaError) -> String {
        do {
            let statement = Statement(
                "checksum", [.text], "SELECT encode(sha256(convert_to($1, 'UTF8')), 'hex')")
            return try connection.execute(statement, text(sql)).string(0, 0)
        } catch {
            throw .database(error)
        }
    }

    private func text(_ value: String) -> Parameters {
        var parameters = Parameters()
        parameters.add(value)
        return parameters
    }
}

extension String {
    /// `:"schema"` is psql's way to write a quoted variable, so the files can be run by psql as they are.
    fileprivate func replacingPlaceholder(with quoted: String) -> String {
        split(separator: ":\"schema\"", omittingEmptySubsequences: false).joined(separator: quoted)
    }
}
