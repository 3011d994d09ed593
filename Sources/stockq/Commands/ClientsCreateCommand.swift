import CommandLineKit
import StockQueue

enum ClientsCreateCommand: Command {
    private static let store = Option(required: "store", .text("STORE"), help: "the store")

    static let spec = CommandSpec(
        "clients create", "Creates an OAuth client that gets tokens for its secret, and prints both once.",
        arguments: [TokenOptions.name], options: [store, TokenOptions.scope, TokenOptions.json], usesDatabase: true,
        examples: [
            .init(
                "Let a program of Elastic Path change stock.", "warehouse", "--store", "berlin", "--scope",
                "enqueue", "--scope", "read")
        ],
        notes: [
            "The database keeps a hash only: a secret that was lost cannot be shown again.",
            "With the scope read, the id alone gets tokens that can only read (grant_type=implicit).",
        ])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let scopes = try TokenOptions.scopes(input)
        let (connection, schema) = try Database.open(input)
        let client = try QueueAdmin(connection: connection, schema: schema).createClient(
            input[TokenOptions.name], store: input[store], scopes: scopes)
        if input[TokenOptions.json] {
            let json: JSON = [
                "client_id": .string(client.clientID), "client_secret": .string(client.secret.text),
            ]
            Terminal.print(json.text)
        } else {
            Terminal.print("client_id     \(client.clientID)\nclient_secret \(client.secret.text)")
        }
        return .success
    }
}
