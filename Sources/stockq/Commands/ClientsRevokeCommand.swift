import CommandLineKit
import StockQueue

enum ClientsRevokeCommand: Command {
    static let spec = CommandSpec(
        "clients revoke", "Revokes an OAuth client of the gateway and its tokens: the next call with one fails.",
        arguments: [TokenOptions.name], usesDatabase: true, examples: [.init("Revoke a client.", "warehouse")],
        notes: ["Exit code 1 if there is no such client."])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let (connection, schema) = try Database.open(input)
        let admin = QueueAdmin(connection: connection, schema: schema)
        let wasRevoked = try admin.revokeClient(input[TokenOptions.name])
        guard wasRevoked else {
            throw Failure("there is no valid client \(input[TokenOptions.name].shownName); see: stockq clients list")
        }
        Terminal.print("client \(input[TokenOptions.name].shownName): valid → revoked")
        return .success
    }
}
