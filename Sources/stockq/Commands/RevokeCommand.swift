import CommandLineKit
import StockQueue

enum RevokeCommand: Command {
    static let spec = CommandSpec(
        "revoke", "Withdraws a producer's grant for a store.", arguments: [GrantOptions.producer],
        options: [GrantOptions.store, GrantOptions.scope], usesDatabase: true,
        examples: [.init("Withdraw all scopes of a store.", "shop", "--store", "berlin")],
        notes: ["Exit code 1 if there was no matching grant."])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let (connection, schema) = try Database.open(input)
        let admin = QueueAdmin(connection: connection, schema: schema)
        let before = try GrantOptions.scopes(input, admin)
        let wasRevoked = try admin.revoke(
            input[GrantOptions.producer], store: input[GrantOptions.store],
            scopes: input[GrantOptions.scope].map(\.stored))
        let after = try GrantOptions.scopes(input, admin)
        Terminal.print(wasRevoked ? GrantOptions.change(input, before, after) : "no matching grant")
        return wasRevoked ? .success : .failure
    }
}
