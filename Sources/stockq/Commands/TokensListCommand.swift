import CommandLineKit
import StockQueue

enum TokensListCommand: Command {
    static let spec = CommandSpec(
        "tokens list", "Lists the tokens of the gateway, without their secrets.", options: [TokenOptions.jsonLines],
        usesDatabase: true, examples: [.init("List all tokens.")])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let (connection, schema) = try Database.open(input)
        let tokens = try QueueAdmin(connection: connection, schema: schema).tokens()
        if input[TokenOptions.jsonLines] {
            for token in tokens { Terminal.print(json(token).text) }
            return .success
        }
        let heading = ["name", "stores", "scopes", "created by", "created", "expires", "last used", "revoked"]
        Terminal.print(table([heading] + tokens.map(row)))
        return .success
    }

    private static func row(_ token: QueueAdmin.Token) -> [String] {
        [
            token.name.printable + (token.isAnonymous ? " (without a token)" : ""),
            token.stores.map(\.printable).joined(separator: ", "), ScopeName.shown(token.scopes),
            token.createdBy.printable, token.createdAt.shown,
        ] + [token.expiresAt, token.lastUsedAt, token.revokedAt].map { $0?.shown ?? "–" }
    }

    private static func json(_ token: QueueAdmin.Token) -> JSON {
        [
            "name": .string(token.name), "anonymous": .bool(token.isAnonymous),
            "stores": .array(token.stores.map { .string($0) }), "scopes": .array(token.scopes.map { .string($0) }),
            "created_by": .string(token.createdBy), "created_at": .string("\(token.createdAt)"),
            "expires_at": .stringOrNull(token.expiresAt?.description),
            "last_used_at": .stringOrNull(token.lastUsedAt?.description),
            "revoked_at": .stringOrNull(token.revokedAt?.description),
        ]
    }
}
