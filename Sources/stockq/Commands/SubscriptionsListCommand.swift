import CommandLineKit
import StockQueue

enum SubscriptionsListCommand: Command {
    private static let json = Flag("json", help: "one JSON object a line")

    static let spec = CommandSpec(
        "subscriptions list", "Lists the subscriptions, without their secrets.", options: [json], usesDatabase: true,
        examples: [.init("List all subscriptions.")])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let (connection, schema) = try Database.open(input)
        let subscriptions = try QueueAdmin(connection: connection, schema: schema).subscriptions()
        if input[json] {
            for subscription in subscriptions { Terminal.print(subscription.json) }
            return .success
        }
        let heading = ["name", "store", "channel", "target", "events", "pending", "dead", "state"]
        Terminal.print(table([heading] + subscriptions.map(row)))
        return .success
    }

    private static func row(_ subscription: QueueAdmin.Subscription) -> [String] {
        let state =
            subscription.disabledReason.map { "disabled: \($0.printable)" }
            ?? subscription.failingSince.map { "failing since \($0.shown)" } ?? "enabled"
        return [
            subscription.name.printable, subscription.store.printable, subscription.channel,
            subscription.target.printable, subscription.events, grouped(subscription.pending),
            grouped(subscription.dead), state,
        ]
    }
}
