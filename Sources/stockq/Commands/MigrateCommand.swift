import CommandLineKit
import StockQueue
import StockQueuePostgres

enum MigrateCommand: Command {
    private static let status = Flag(
        "status", help: "show what is applied and change nothing; exit code 1 if something is missing")
    private static let json = Flag("json", help: "with --status: one JSON object a line")
    private static let withoutWakeUpTrigger = Flag(
        "without-wakeup-trigger",
        help: "create no wake-up trigger, and drop one that exists; workers then find jobs by polling, within a second")
    private static let rolesScript = Flag(
        "roles-script", help: "print the script that creates the roles and their privileges, and change nothing")

    static let spec = CommandSpec(
        "migrate", "Creates the queue's schema, or brings it to this program's version.",
        options: [status, json, withoutWakeUpTrigger, rolesScript], usesDatabase: true,
        examples: [
            .init("Set up a queue in a database.", "--database-url", "postgresql:///shop"),
            .init("Set up another queue in a schema of its own.", "--schema", "returns"),
        ],
        notes: [
            "Each migration runs in a transaction of its own. Running it again, or twice at once, is safe.",
            "Afterwards the queue's roles get their privileges (NAME_producer, NAME_worker, NAME_reader, NAME_admin, where "
                + "NAME is the schema). If this user may not create roles, an administrator runs: "
                + "stockq migrate --roles-script | psql",
        ])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let schema = try Database.schema(input)
        let migrator = Migrator(connection: try Connection(Database.settings(input)), schema: schema)
        if input[status] { return try printStatus(migrator, json: input[json]) }
        if input[rolesScript] {
            Terminal.print(migrator.rolesScript)
            return .success
        }
        var count = 0
        try migrator.migrate(withoutWakeUpTrigger: input[withoutWakeUpTrigger]) { name in
            Terminal.print("applied \(name)")
            count += 1
        }
        if try !migrator.makeRoles() {
            Terminal.note(
                "the queue's roles were not created, because this user may not create roles; an administrator runs: "
                    + "stockq migrate --roles-script | psql")
        }
        if count == 0 { Terminal.print("schema \(schema.name) is up to date") }
        return .success
    }

    private static func printStatus(_ migrator: Migrator, json: Bool) throws -> ExitCode {
        for status in try migrator.status() {
            if json {
                Terminal.print([
                    "kind": .string("\(status.kind)"), "name": .string(status.name),
                    "state": .string(status.state.rawValue),
                    "applied_at": .stringOrNull(status.appliedAt?.description),
                ])
            } else {
                let state = status.state == .missing ? "not applied" : status.state.rawValue
                Terminal.print("\(status.name)  \(state)\(status.appliedAt.map { " \($0)" } ?? "")")
            }
        }
        try migrator.check()
        return .success
    }
}
