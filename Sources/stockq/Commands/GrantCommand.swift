import CommandLineKit
import StockQueue

enum GrantCommand: Command {
    static let spec = CommandSpec(
        "grant", "Allows a role of the database to enqueue for a store.", arguments: [GrantOptions.producer],
        options: [GrantOptions.store, GrantOptions.scope], usesDatabase: true,
        examples: [
            .init("Allow a role to enqueue and to see items in a store.", "shop", "--store", "berlin"),
            .init("Allow a role to see items only.", "signage", "--store", "berlin", "--scope", "read"),
            .init("Allow a role to create items too.", "shop", "--store", "berlin", "--scope", "manage_items"),
        ],
        notes: ["The role must also be a member of the queue's producers: GRANT stockq_producer TO PRODUCER"])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let scopes = input[GrantOptions.scope]
        let (connection, schema) = try Database.open(input)
        let admin = QueueAdmin(connection: connection, schema: schema)
        let before = try GrantOptions.scopes(input, admin)
        try admin.grant(
            input[GrantOptions.producer], store: input[GrantOptions.store],
            scopes: (scopes.isEmpty ? ScopeName.ofGrants : scopes).map(\.stored))
        Terminal.print(GrantOptions.change(input, before, try GrantOptions.scopes(input, admin)))
        try UnknownStore.warn(input[GrantOptions.store], connection, schema)
        return .success
    }
}
