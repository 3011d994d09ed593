import CommandLineKit
import StockQueue
import StockQueuePostgres

enum MigrateCommand: Command {
    static let usage = Usage(
        command: "migrate", summary: "Creates the queue's schema, or brings it to this program's version.",
        options: [
            Option("status", nil, "show what is applied and change nothing; exit code 1 if something is missing"),
            Option("json", nil, "with --status: one JSON object a line"),
            Option(
                "without-wakeup-trigger", nil,
                "make a schema without the wake-up trigger, and drop one that exists; polling finds every job within a second"
            ),
            Option(
                "roles-script", nil, "print the script that makes the roles and their privileges, and change nothing"),
        ],
        notes: """
            Each migration runs in a transaction of its own. Running it again, or twice at once, is safe.
            Then the roles of the queue get their privileges (NAME_producer, NAME_worker, NAME_reader, NAME_admin, led by the schema's
            name). Where this user may not create them, a user that may runs: stockq migrate --roles-script | psql
            """)

    static func run(_ arguments: Arguments) throws -> Int32 {
        let schema = try Database.schema(arguments)
        let connection = try Connection(Database.settings(arguments))
        let migrator = Migrator(connection: connection, schema: schema)
        if arguments.has("status") { return try showStatus(migrator, schema, json: arguments.has("json")) }
        if arguments.has("roles-script") {
            Terminal.print(migrator.rolesScript)
            return 0
        }
        var count = 0
        try migrator.migrate(withoutWakeUpTrigger: arguments.has("without-wakeup-trigger")) { name in
            Terminal.print("applied \(name)")
            count += 1
        }
        if try !migrator.makeRoles() {
            Terminal.note(
                "the roles of the queue were not created, because this user may not create roles; a user that may runs: "
                    + "stockq migrate --roles-script | psql")
        }
        if count == 0 { Terminal.print("schema \(schema.name) is up to date") }
        return 0
    }

    private static func showStatus(_ migrator: Migrator, _ schema: QueueSchema, json: Bool) throws -> Int32 {
        for status in try migrator.status() {
            if json {
                let time = status.appliedAt.map { "\"\($0)\"" } ?? "null"
                Terminal.print(
                    "{\"kind\":\"\(status.kind)\",\"name\":\"\(status.name)\",\"state\":\"\(status.state.rawValue)\",\"applied_at\":\(time)}"
                )
            } else {
                let time = status.appliedAt.map { " \($0)" } ?? ""
                Terminal.print(
                    "\(status.name)  \(status.state == .missing ? "not applied" : status.state.rawValue)\(time)")
            }
        }
        try migrator.check()
        return 0
    }
}
