import CommandLineKit
import StockQueue

enum GrantsListCommand: Command {
    static let spec = CommandSpec(
        "grants list", "Lists which producer may do what in which store.", usesDatabase: true,
        examples: [.init("List all grants.")])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let (connection, schema) = try Database.open(input)
        let rows = try QueueAdmin(connection: connection, schema: schema).grants().map { grant in
            [
                grant.producer.printable + (grant.isRole ? "" : " (no such role)"), grant.store.printable,
                ScopeName.shown(grant.scopes), grant.grantedBy.printable, grant.grantedAt.shown,
            ]
        }
        Terminal.print(table([["producer", "store", "scopes", "granted by", "at"]] + rows))
        return .success
    }
}
