import CommandLineKit
import StockQueue

/// The parameters by which callers of the gateway are created and listed.
enum TokenOptions {
    static let name = Argument(.text("NAME"), help: "a name for the list")
    static let stores = Option(repeated: "store", .text("STORE"), help: "a store; give it again for each store")
    static let scope = Option(
        repeated: "scope", .choice("SCOPE", of: ScopeName.allCases, aliases: ScopeName.aliases),
        help: "enqueue to change stock, read to read it, manage_items to create and remove items, "
            + "manage_notifications to decide where and when notifications are sent")
    static let json = Flag("json", help: "one JSON object")
    static let jsonLines = Flag("json", help: "one JSON object a line")

    /// The scopes that were given, at least one.
    static func scopes(_ input: ParsedCommand) throws(UsageError) -> [String] {
        guard !input[scope].isEmpty else { throw input.usageError("give --scope SCOPE") }
        return input[scope].map(\.stored)
    }
}
