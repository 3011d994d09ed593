import CommandLineKit
import StockQueue
import StockQueueMigrations
import StockQueuePostgres

enum MigrateCommand: Command {
    private static let status = Flag(
        "status",
        help:
            "show what is applied and change nothing; exit code 1 if something is missing, 3 if that cannot be checked")
    private static let json = Flag("json", help: "with --status: one JSON object a line")
    private static let withoutWakeUpTrigger = Flag(
        "without-wakeup-trigger",
        help: "create no wake-up trigger, and drop one that exists; workers then find jobs by polling, within a second")
    private static let rolesScript = Flag(
        "roles-script", help: "print the script that creates the roles and their privileges, and change nothing")
    private static let lockWait = Option(
        "lock-wait", .duration, default: Migrator.lockWaitDefault,
        help: "give up when other sessions have held the tables for so long")

    static let spec = CommandSpec(
        "migrate", "Creates the queue's schema, or brings it to this program's version.",
        options: [status, json, withoutWakeUpTrigger, rolesScript, lockWait], usesDatabase: true,
        examples: [
            .init("Set up a queue in a database.", "--database-url", "postgresql:///shop"),
            .init("Set up another queue in a schema of its own.", "--schema", "returns"),
        ],
        notes: [
            "Each migration runs in a transaction of its own. Running it again, or twice at once, is safe.",
            "A table that another session uses is waited for in short attempts, so that producers and workers go on; the "
                + "session is named.",
            "Afterwards the queue's roles get their privileges (NAME_producer, NAME_worker, NAME_reader, NAME_admin, where "
                + "NAME is the schema). If this user may not create roles, an administrator runs: "
                + "stockq migrate --roles-script | psql",
        ])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let schema = Database.schema(input)
        if input[status] {
            return try CheckFailure.wrapping {
                try printStatus(
                    Migrator(connection: try Connection(Database.settings(input)), schema: schema), json: input[json])
            }
        }
        var shown = ""
        let connection = try Connection(Database.settings(input))
        let migrator = Migrator(
            connection: connection, schema: schema, lockWait: input[lockWait]
        ) { holders in
            let names = holders.isEmpty ? "another session" : holders.map(\.description).joined(separator: " and ")
            if names != shown { Terminal.note("waiting for a lock that is held by \(names.printable)") }
            shown = names
        }
        if input[rolesScript] {
            Terminal.print(exactly: migrator.rolesScript)
            return .success
        }
        let applied = try migrate(migrator, schema, withoutWakeUpTrigger: input[withoutWakeUpTrigger])
        if !applied.isEmpty {
            try noteSessions(connection, schema, rewroteJobs: applied.contains(rewriteOfJobs))
        }
        return .success
    }

    /// Says how many sessions may be those of programs of the version before.
    private static func noteSessions(_ connection: Connection, _ schema: QueueSchema, rewroteJobs: Bool) throws {
        let sessions = try Inspector(connection: connection, schema: schema).rows(of: WorkerSessionList(limit: 1_000))
        if sessions.isEmpty { return }
        Terminal.note(
            "\(counted(sessions.count, "session")) of services in this database began before: start their processes again"
                + (rewroteJobs ? "; workers of 0.2.0 do nothing until then" : ""))
    }

    /// Workers of 0.2.0 cannot read the table of jobs behind it.
    private static let rewriteOfJobs = "0012_strands.sql"

    /// - Returns: what was applied.
    private static func migrate(
        _ migrator: Migrator, _ schema: QueueSchema, withoutWakeUpTrigger: Bool
    ) throws -> [String] {
        var applied: [String] = []
        try migrator.migrate(withoutWakeUpTrigger: withoutWakeUpTrigger) { name in
            Terminal.print("applied \(name)")
            applied.append(name)
        }
        switch try migrator.makeRoles() {
        case .unchanged: break
        case .made:
            Terminal.print("applied \(Migration.roles.name)")
            applied.append(Migration.roles.name)
        case .notPermitted:
            Terminal.note(
                "the queue's roles were not created, because this user may not create roles; an administrator runs: "
                    + "\(schema.migrateCommand) --roles-script | psql")
        }
        Terminal.print("schema \(schema.name) is up to date")
        return applied
    }

    private static func printStatus(_ migrator: Migrator, json: Bool) throws -> ExitCode {
        var rows = [["file", "state", "at"]]
        for status in try migrator.status() {
            if json {
                Terminal.print([
                    "kind": .string("\(status.kind)"), "name": .string(status.name),
                    "state": .string(status.state.rawValue),
                    "applied_at": .stringOrNull(status.appliedAt?.description),
                ])
            } else {
                rows.append([
                    status.name, status.state == .missing ? "not applied" : status.state.rawValue,
                    status.appliedAt?.shown ?? "",
                ])
            }
        }
        if !json { Terminal.print(table(rows)) }
        do {
            try migrator.check()
        } catch let error as QueueSchemaError {
            // That is what was asked: something is missing.
            Terminal.note("stockq: \(ErrorText.explain(error))")
            return .failure
        }
        return .success
    }
}
