import CommandLineKit
import StockQueue

enum TokensRevokeCommand: Command {
    static let spec = CommandSpec(
        "tokens revoke", "Revokes a token of the gateway: the next call with it fails.",
        arguments: [TokenOptions.name], usesDatabase: true, examples: [.init("Revoke a token.", "shop")],
        notes: ["Exit code 1 if there is no such token."])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let (connection, schema) = try Database.open(input)
        let admin = QueueAdmin(connection: connection, schema: schema)
        let wasRevoked = try admin.revokeToken(input[TokenOptions.name])
        guard wasRevoked else {
            throw Failure("there is no valid token \(input[TokenOptions.name].shownName); see: stockq tokens list")
        }
        Terminal.print("token \(input[TokenOptions.name].shownName): valid → revoked")
        return .success
    }
}
