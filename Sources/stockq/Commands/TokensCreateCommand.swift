import CommandLineKit
import StockQueue

enum TokensCreateCommand: Command {
    private static let expires = Option("expires", .duration, defaultText: "never", help: "the token ends after this")
    private static let anonymous = Flag(
        "anonymous", help: "for Prosperna's calls that present no token; nothing is printed")

    static let spec = CommandSpec(
        "tokens create", "Creates a token with which a program calls the gateway, and prints it once.",
        arguments: [TokenOptions.name],
        options: [TokenOptions.stores, TokenOptions.scope, expires, anonymous, TokenOptions.json], usesDatabase: true,
        examples: [
            .init(
                "Let a shop change stock.", "shop", "--store", "berlin", "--scope", "enqueue", "--scope",
                "read"),
            .init(
                "Let calls without a token change stock.", "storefront", "--store", "berlin", "--scope",
                "enqueue", "--anonymous"),
        ],
        notes: ["The database keeps a hash only: a token that was lost cannot be shown again."])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let (name, stores) = (input[TokenOptions.name], input[TokenOptions.stores])
        guard !stores.isEmpty else { throw input.usageError("give --store STORE") }
        let scopes = try TokenOptions.scopes(input)
        let seconds = input[expires]?.wholeSeconds
        if seconds == 0 { throw input.usageError("--expires takes at least 1s") }
        let (connection, schema) = try Database.open(input)
        let admin = QueueAdmin(connection: connection, schema: schema)
        if input[anonymous] {
            try admin.allowAnonymous(name, stores: stores, scopes: scopes, expiresAfter: seconds)
            Terminal.print(input[TokenOptions.json] ? JSON.object([("token", .null)]).text : "created")
            return .success
        }
        let token = try admin.createToken(name, stores: stores, scopes: scopes, expiresAfter: seconds)
        Terminal.print(input[TokenOptions.json] ? JSON.object([("token", .string(token.text))]).text : token.text)
        return .success
    }
}
