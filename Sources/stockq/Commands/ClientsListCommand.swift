import CommandLineKit
import StockQueue

enum ClientsListCommand: Command {
    static let spec = CommandSpec(
        "clients list", "Lists the OAuth clients of the gateway, without their secrets.",
        options: [TokenOptions.jsonLines], usesDatabase: true, examples: [.init("List all clients.")])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let (connection, schema) = try Database.open(input)
        let clients = try QueueAdmin(connection: connection, schema: schema).clients()
        if input[TokenOptions.jsonLines] {
            for client in clients { Terminal.print(json(client).text) }
            return .success
        }
        let heading = ["name", "client id", "store", "scopes", "created by", "created", "last used", "revoked"]
        Terminal.print(table([heading] + clients.map(row)))
        return .success
    }

    private static func row(_ client: QueueAdmin.Client) -> [String] {
        [
            client.name.printable, client.clientID, client.store.printable, ScopeName.shown(client.scopes),
            client.createdBy.printable, client.createdAt.shown,
        ] + [client.lastUsedAt, client.revokedAt].map { $0?.shown ?? "–" }
    }

    private static func json(_ client: QueueAdmin.Client) -> JSON {
        [
            "name": .string(client.name), "client_id": .string(client.clientID), "store": .string(client.store),
            "scopes": .array(client.scopes.map { .string($0) }), "created_by": .string(client.createdBy),
            "created_at": .string("\(client.createdAt)"),
            "last_used_at": .stringOrNull(client.lastUsedAt?.description),
            "revoked_at": .stringOrNull(client.revokedAt?.description),
        ]
    }
}
