import StockQueueMigrations
import StockQueuePostgres

/// Brings a schema to the version of this program. Forward only.
///
/// Each numbered file is applied once, in a transaction of its own. The repeatable scripts (functions and views) whose
/// text has changed are applied again in one transaction. If nothing has changed, one query says so, and no table is
/// locked. What has to be done waits for locks as `LockAttempts` says.
///
/// Every method throws `QueueSchemaError` or `PostgresError`.
public struct Migrator {
    private let connection: Connection
    private let schema: QueueSchema
    private let migrations: [Migration]
    private let locks: LockAttempts

    /// How long a migrator tries to get its locks where the caller says nothing.
    public static let lockWaitDefault = Duration.seconds(60)
    /// How long an attempt waits for one lock, and so how long it can make producers and workers wait.
    package static let lockTimeout = Duration.milliseconds(200)

    /// - Parameters:
    ///   - lockWait: how long a transaction tries to get its locks.
    ///   - onWait: called with the sessions that hold them after each attempt that was in vain; with none if this role
    ///     cannot see them.
    public init(
        connection: Connection, schema: QueueSchema, lockWait: Duration = Self.lockWaitDefault,
        onWait: @escaping ([LockHolder]) -> Void = { _ in }
    ) {
        self.init(
            connection: connection, schema: schema, migrations: Migration.all, lockWait: lockWait, onWait: onWait)
    }

    /// With other files than this program's, in the order of application.
    package init(
        connection: Connection, schema: QueueSchema, migrations: [Migration],
        lockWait: Duration = Self.lockWaitDefault, onWait: @escaping ([LockHolder]) -> Void = { _ in }
    ) {
        self.connection = connection
        self.schema = schema
        self.migrations = migrations
        locks = LockAttempts(connection: connection, waitMax: lockWait, onWait: onWait)
    }

    /// Applies what is missing or has changed.
    ///
    /// Two at once are safe: each transaction first locks the table of migrations and then reads what is applied.
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

    /// What became of the roles.
    public enum RolesOutcome: Sendable, Hashable {
        /// They exist with their privileges, and no file was applied since.
        case unchanged
        case made
        /// A role is missing and this user may not create it; `rolesScript` is for a user that may.
        case notPermitted
    }

    /// Creates the queue's roles that are missing and gives all of them their privileges (migrations/roles.sql).
    public func makeRoles() throws -> RolesOutcome {
        let state = try connection.execute(
            Statement(
                "roles_state", [.textArray, .text, .text, .text],
                """
                SELECT (SELECT count(*) = cardinality($1) FROM pg_roles WHERE rolname = ANY ($1)),
                    (SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user),
                    EXISTS (SELECT FROM \(schema.quoted).migrations WHERE name = $2 AND checksum = $3)
                        -- A copy of a database may have been restored without its privileges.
                        AND (
                            SELECT coalesce(bool_and(has_schema_privilege(oid, $4, 'USAGE')), false) FROM pg_roles
                            WHERE rolname = ANY ($1)
                        )
                """), rolesState)
        let (exist, mayCreate, areCurrent) = (state.bool(0, 0), state.bool(0, 1), state.bool(0, 2))
        if exist && areCurrent { return .unchanged }
        if !exist && !mayCreate { return .notPermitted }
        _ = try inTransaction { _ in
            try run(Migration.roles)
            try record(Migration.roles)
            return []
        }
        return .made
    }

    /// What `makeRoles` runs.
    public var rolesScript: String { Migration.roles.sql.replacingPlaceholder(with: schema.quoted) }

    private var rolesState: Parameters {
        var parameters = Parameters()
        parameters.addArray(["producer", "worker", "reader", "admin"].map { "\(schema.name)_\($0)" })
        parameters.add(Migration.roles.name)
        parameters.add(Migration.roles.checksum)
        parameters.add(schema.name)
        return parameters
    }

    // MARK: applying

    /// Calls `body` with what is applied, under the lock of this schema's migrations.
    private func inTransaction(_ body: (AppliedMigrations) throws -> [String]) throws -> [String] {
        do {
            return try locks.run { begin in
                do {
                    try begin()
                    let recorded = try lockMigrations()
                    try requireCompatible(recorded)
                    let names = try body(recorded)
                    try connection.commit()
                    return names
                } catch {
                    try? connection.rollBack()  // rethrow the first error; a failed rollback adds nothing
                    throw error
                }
            }
        } catch let error as LockAttempts.LocksNotAvailable {
            throw QueueSchemaError.locked(schema: schema.name, holders: error.holders, waited: locks.waitMax.text)
        }
    }

    /// Lets one migrator at a time go on, until its transaction ends, and reads what is applied.
    ///
    /// The table of migrations is locked against other migrators and not against its readers. No role but the owner may
    /// take a lock that conflicts with this one.
    private func lockMigrations() throws(PostgresError) -> AppliedMigrations {
        if try !hasMigrationsTable() { try lockNewSchema() }
        guard try hasMigrationsTable() else { return .none }
        try connection.executeScript("LOCK TABLE \(schema.quoted).migrations IN SHARE ROW EXCLUSIVE MODE")
        return AppliedMigrations(try connection.execute(AppliedMigrations.statement(schema)))
    }

    /// Locks a schema that has no table yet: another migrator, which creates a table of the same name, waits until this
    /// transaction ends. The table is dropped again at once.
    private func lockNewSchema() throws(PostgresError) {
        do {
            // The query comes first: a user that may not create schemas may use one that exists.
            let exists = Statement(
                "find_schema", [.text], "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)")
            if try !connection.execute(exists, texts(schema.name)).bool(0, 0) {
                try connection.executeScript("CREATE SCHEMA \(schema.quoted)")
            }
            try connection.executeScript(
                """
                CREATE TABLE \(schema.quoted).migrating ();
                DROP TABLE \(schema.quoted).migrating;
                """)
        } catch let error where error.sqlState == .uniqueViolation {
            // Another migrator has just created the schema: begin again, and find it.
            throw PostgresError(kind: .server, sqlState: .lockNotAvailable, message: error.message)
        }
    }

    private func hasMigrationsTable() throws(PostgresError) -> Bool {
        try connection.execute(
            Statement(
                "find_migrations", [.text, .text],
                """
                SELECT EXISTS (
                    SELECT FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
                    WHERE nspname = $1 AND relname = $2
                )
                """), texts(schema.name, "migrations")
        ).bool(0, 0)
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
        try connection.execute(
            Statement(
                "record_migration", [.text, .text, .text],
                """
                INSERT INTO \(schema.quoted).migrations (name, kind, checksum) VALUES ($1, $2, $3)
                ON CONFLICT (name) DO UPDATE SET checksum = excluded.checksum, applied_at = now()
                """), texts(migration.name, migration.kind.rawValue, migration.checksum))
    }

    private func forget(_ migration: Migration) throws(PostgresError) {
        try connection.execute(
            Statement("forget_migration", [.text], "DELETE FROM \(schema.quoted).migrations WHERE name = $1"),
            texts(migration.name))
    }

    /// One small query, as each command sends it first.
    private func readRecorded() throws(PostgresError) -> AppliedMigrations {
        do {
            return AppliedMigrations(try connection.execute(AppliedMigrations.statement(schema)))
        } catch let error where error.sqlState == .undefinedTable {
            return .none
        }
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

    private func texts(_ values: String...) -> Parameters {
        var parameters = Parameters()
        for value in values { parameters.add(value) }
        return parameters
    }
}

extension String {
    /// `:"schema"` is psql's way to write a quoted variable, so psql can run the files as they are.
    fileprivate func replacingPlaceholder(with quoted: String) -> String {
        split(separator: ":\"schema\"", omittingEmptySubsequences: false).joined(separator: quoted)
    }
}
