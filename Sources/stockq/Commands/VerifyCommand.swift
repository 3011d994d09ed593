import CommandLineKit
import StockQueue
import StockQueuePostgres

enum VerifyCommand: Command {
    private static let json = Flag("json", help: "one JSON object for each check")
    private static let store = Option("store", .text("STORE", bytes: 1...200), help: "only the items of this store")
    private static let item = Option("item", .text("ITEM", bytes: 1...200), help: "only this item of --store")
    private static let location = Option(
        "location", .text("LOCATION", bytes: 1...200), help: "only --item at this location")
    private static let since = Option(
        "since", .pastMoment, help: "only changes that were finished at this time or later, and their items")

    static let spec = CommandSpec(
        "verify", "Proves the ledger: stock, results, notifications and queue agree.",
        options: [store, item, location, since, json], usesDatabase: true,
        examples: [
            .init("Check everything while workers run."),
            .init("Check the history of one item.", "--store", "berlin", "--item", "shirt-m"),
            .init("Check what was changed today.", "--since", "24h"),
        ],
        notes: [
            "Reads every row on one snapshot, so that workers need not stop. With --store, --item or --since it reads only the "
                + "items, their changes and their notifications, and leaves out the checks of groups, announcements and deliveries.",
            "Exit code 1 if anything is wrong, 3 if not everything could be checked.",
        ])

    private static let timeout = Duration.seconds(3_600)

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        var scope = Verifier.Scope()
        (scope.store, scope.item, scope.location, scope.since) = (
            input[store], input[item], input[location], input[since]
        )
        if scope.item != nil && scope.store == nil {
            throw input.usageError("an item belongs to a store: give --store")
        }
        if scope.location != nil && scope.item == nil { throw input.usageError("--location goes with --item") }
        return try CheckFailure.seeingEverything(input, timeout: timeout, done: "verified") { connection, schema in
            if scope == Verifier.Scope() {
                return try verify(input, Verifier(connection: connection, schema: schema))
            }
            if let store = scope.store, let item = scope.item, try !isKnown(scope, connection, schema) {
                throw Failure("there is no item \(item.shownName) in store \(store.shownName)")
            }
            try UnknownStore.warn(scope.store, connection, schema)
            return try verify(input, Verifier(connection: connection, schema: schema, scope: scope))
        }
    }

    private static func isKnown(
        _ scope: Verifier.Scope, _ connection: Connection, _ schema: QueueSchema
    ) throws -> Bool {
        var list = ItemList(limit: 1_000)
        (list.store, list.item) = (scope.store, scope.item)
        let rows = try Inspector(connection: connection, schema: schema).rows(of: list)
        return try rows.contains { try scope.location == nil || Row(json: $0)["location_id"] == scope.location }
    }

    private static func verify(_ input: ParsedCommand, _ verifier: Verifier) throws -> ExitCode {
        var violations = 0
        try verifier.runAll { finding in
            violations += finding.violations.count
            if input[json] { Terminal.print(json(finding)) } else { print(finding) }
        }
        if !input[json] {
            Terminal.print(violations == 0 ? "nothing is wrong" : counted(violations, "violation"))
        }
        return violations == 0 ? .success : .failure
    }

    private static func print(_ finding: Verifier.Finding) {
        if finding.violations.isEmpty { return Terminal.print("ok    \(finding.check)") }
        Terminal.print("WRONG \(finding.check)", style: .bad)
        for violation in finding.violations { Terminal.print("      \(violation.printable)") }
        if finding.isCut { Terminal.print("      … and more") }
    }

    private static func json(_ finding: Verifier.Finding) -> JSON {
        [
            "check": .string(finding.check), "violations": .array(finding.violations.map { .string($0) }),
            "is_cut": .bool(finding.isCut),
        ]
    }
}
