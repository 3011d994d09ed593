import StockQueueMigrations
import StockQueuePostgres

/// Brings a schema to the version of this program. Forward only.
///
/// Each numbered file is applied once, in a transaction of its own. The repeatable scripts (functions and views) whose
/// text has changed are applied again in one transaction. If nothing has changed, one query says so, and no table is
/// locked.
///
/// Every method throws `QueueSchemaError` or `PostgresError`.
public struct Migrator {
    private let connection: Connection
    private let schema: QueueSchema
    private let migrations: [Migration]

    public init(connection: Connection, schema: QueueSchema) {
        self.init(connection: connection, schema: schema, migrations: Migration.all)
    }

    /// With other files than this program's, in the order of application.
    package init(connection: Connection, schema: QueueSchema, migrations: [Migration]) {
        self.connection = connection
        self.schema = schema
        self.migrations = migrations
    }

    /// Applies what is missing or has changed.
    ///
    /// Two at once are safe: each transaction first takes the same advisory lock and then reads what is applied.
    ///
    /// - Parameters:
    ///   - withoutWakeUpTrigger: the schema is to have no wake-up trigger; one that it has is dropped. Polling is
    ///     enough.
    ///   - applied: called with the name of each file once it is committed.
    public func migrate(withoutWakeUpTrigger: Bool = false, applied: (String) -> Void = { _ in }) throws {
        let isWanted = { (migration: Migration) in !withoutWakeUpTrigger || migration.kind != .wakeUpTrigger }
        let wanted = migrations.filter(isWanted)
        let unwanted = migrations.filter { !isWanted($0) }
        let recorded = try readRecorded()
        try requireCompatible(recorded)
        if wanted.allSatisfy({ recorded.state(of: $0) == .applied })
            && unwanted.allSatisfy({ recorded.state(of: $0) == .missing })
        {
            return
        }
        for migration in wanted where migration.kind == .numbered {
            try inTransaction { recorded in try apply([migration], recorded) }.forEach(applied)
        }
        try inTransaction { recorded in
            try drop(unwanted, recorded)
            return try apply(wanted.filter { $0.kind != .numbered }, recorded)
        }.forEach(applied)
        try check()
    }

    /// Checks that the schema is exactly at this program's version, without changing anything. It may lack the wake-up
    /// trigger.
    public func check() throws {
        let recorded = try readRecorded()
        if recorded.isEmpty { throw QueueSchemaError.notMigrated(schema: schema.name) }
        try requireCompatible(recorded)
        let old = migrations.filter { migration in
            switch recorded.state(of: migration) {
            case .applied: false
            case .outdated: true
            case .missing: migration.kind != .wakeUpTrigger
            }
        }
        if !old.isEmpty { throw QueueSchemaError.behind(schema: schema.name, files: old.map(\.name)) }
    }

    /// Every file that this program has or the schema got from another version, in the order of application.
    public func status() throws -> [MigrationStatus] {
        let recorded = try readRecorded()
        return migrations.map(recorded.status) + recorded.unknown(to: migrations)
    }

    // MARK: roles

    /// Creates the queue's roles that are missing and gives all of them their privileges (migrations/roles.sql).
    ///
    /// Does nothing if the roles exist and no file was applied since.
    ///
    /// - Returns: false if a role is missing and this user may not create it; `rolesScript` is for a user that may.
    public func makeRoles() throws -> Bool {
        let rows = try connection.execute(
            Statement(
                "roles_state", [.textArray, .text, .text],
                """
                SELECT (SELECT count(*) = cardinality($1) FROM pg_roles WHERE rolname = ANY ($1)),
                    (SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user),
                    EXISTS (SELECT FROM \(schema.quoted).migrations WHERE name = $2 AND checksum = $3)
                """), rolesState)
        let (exist, mayCreate, areCurrent) = (rows.bool(0, 0), rows.bool(0, 1), rows.bool(0, 2))
        if exist && areCurrent { return true }
        if !exist && !mayCreate { return false }
        try connection.transaction { () throws(PostgresError) in
            try lockMigrations()
            try run(Migration.roles)
            try record(Migration.roles)
        }
        return true
    }

    /// What `makeRoles` runs.
    public var rolesScript: String { Migration.roles.sql.replacingPlaceholder(with: schema.quoted) }

    private var rolesState: Parameters {
        var parameters = Parameters()
        parameters.addArray(["producer", "worker", "reader", "admin"].map { "\(schema.name)_\($0)" })
        parameters.add(Migration.roles.name)
        parameters.add(Migration.roles.checksum)
        return parameters
    }

    // MARK: applying

    /// Calls `body` with what is applied, under the lock of this schema's migrations.
    private func inTransaction(_ body: (AppliedMigrations) throws -> [String]) throws -> [String] {
        try connection.execute(.begin)
        do {
            try lockMigrations()
            let recorded = try readRecordedOrCreateSchema()
            try requireCompatible(recorded)
            let names = try body(recorded)
            try connection.commit()
            return names
        } catch {
            try? connection.rollBack()  // rethrow the first error; a failed rollback adds nothing
            throw error
        }
    }

    private func lockMigrations() throws(PostgresError) {
        try connection.execute(
            Statement("lock_migrations", [.text], "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"),
            text("stockq migrate \(schema.name)"))
    }

    /// - Returns: the names of the files that were applied, in order.
    private func apply(_ candidates: [Migration], _ recorded: AppliedMigrations) throws(PostgresError) -> [String] {
        let pending = candidates.filter { recorded.state(of: $0) != .applied }
        let required = pending.flatMap(\.requires)
        let first = migrations.filter { required.contains($0.name) && recorded.state(of: $0) == .missing }
        for migration in first + pending { try run(migration) }
        for migration in first + pending { try record(migration) }
        // The new objects need the roles' privileges, so the roles' script is due again.
        if !pending.isEmpty { try forget(Migration.roles) }
        return (first + pending).map(\.name)
    }

    private func drop(_ unwanted: [Migration], _ recorded: AppliedMigrations) throws(PostgresError) {
        for migration in unwanted where recorded.state(of: migration) != .missing {
            try connection.executeScript(
                """
                DROP TRIGGER IF EXISTS send_wakeup ON \(schema.quoted).jobs;
                DROP FUNCTION IF EXISTS \(schema.quoted).send_wakeup();
                """)
            try forget(migration)
        }
    }

    private func run(_ migration: Migration) throws(PostgresError) {
        try connection.executeScript(
            migration.sql.replacingPlaceholder(with: schema.quoted), timeoutMs: Self.migrationTimeoutMs)
    }

    /// A migration may rewrite a large table; an hour is a bound, not an expectation.
    private static let migrationTimeoutMs = 3_600_000

    // MARK: what is recorded

    private func record(_ migration: Migration) throws(PostgresError) {
        var parameters = Parameters()
        for text in [migration.name, migration.kind.rawValue, migration.checksum] { parameters.add(text) }
        try connection.execute(
            Statement(
                "record_migration", [.text, .text, .text],
                """
                INSERT INTO \(schema.quoted).migrations (name, kind, checksum) VALUES ($1, $2, $3)
                ON CONFLICT (name) DO UPDATE SET checksum = excluded.checksum, applied_at = now()
                """), parameters)
    }

    private func forget(_ migration: Migration) throws(PostgresError) {
        try connection.execute(
            Statement("forget_migration", [.text], "DELETE FROM \(schema.quoted).migrations WHERE name = $1"),
            text(migration.name))
    }

    /// One small query, as each command sends it first.
    private func readRecorded() throws(PostgresError) -> AppliedMigrations {
        do {
            return AppliedMigrations(try connection.execute(AppliedMigrations.statement(schema)))
        } catch let error where error.sqlState == .undefinedTable {
            return .none
        }
    }

    /// The same inside a transaction, which an error would end.
    private func readRecordedOrCreateSchema() throws(PostgresError) -> AppliedMigrations {
        var parameters = Parameters()
        parameters.add(schema.name)
        parameters.add("\(schema.quoted).migrations")
        let rows = try connection.execute(
            Statement(
                "find_migrations", [.text, .text],
                """
                SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1),
                    EXISTS (SELECT FROM pg_namespace WHERE nspname = $1) AND to_regclass($2) IS NOT NULL
                """), parameters)
        let (schemaExists, tableExists) = (rows.bool(0, 0), rows.bool(0, 1))
        if !schemaExists { try connection.executeScript("CREATE SCHEMA \(schema.quoted)") }
        return tableExists
            ? AppliedMigrations(try connection.execute(AppliedMigrations.statement(schema))) : .none
    }

    /// Checks that no other version of this program's numbered files is applied.
    private func requireCompatible(_ recorded: AppliedMigrations) throws(QueueSchemaError) {
        if let newer = recorded.unknown(to: migrations).first {
            throw .newer(schema: schema.name, name: newer.name)
        }
        for migration in migrations
        where migration.kind == .numbered && recorded.state(of: migration) == .outdated {
            throw .changed(schema: schema.name, name: migration.name)
        }
    }

    private func text(_ value: String) -> Parameters {
        var parameters = Parameters()
        parameters.add(value)
        return parameters
    }
}

extension String {
    /// `:"schema"` is psql's way to write a quoted variable, so psql can run the files as they are.
    fileprivate func replacingPlaceholder(with quoted: String) -> String {
        split(separator: ":\"schema\"", omittingEmptySubsequences: false).joined(separator: quoted)
    }
}
