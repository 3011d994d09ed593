import CommandLineKit
import StockQueue

enum DeliveriesListCommand: Command {
    private enum State: String, CaseIterable, Sendable {
        case pending, delivered, dead
    }

    private static let subscription = Option("subscription", .text("NAME"), help: "only those of this subscription")
    private static let state = Option("state", .choice("STATE", of: State.allCases), help: "only those in this state")
    private static let limit = Option("limit", .wholeNumber(1...1_000_000), default: 100, help: "the newest N")
    private static let json = Flag("json", help: "one JSON object a line")

    static let spec = CommandSpec(
        "deliveries list", "Lists the newest deliveries, and how their last attempts ended.",
        options: [subscription, state, limit, json], usesDatabase: true,
        examples: [.init("List those that no attempt delivered.", "--state", "dead")])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let (connection, schema) = try Database.open(input)
        let deliveries = try QueueAdmin(connection: connection, schema: schema).deliveries(
            subscription: input[subscription], state: input[state]?.rawValue, limit: input[limit])
        if input[json] {
            for delivery in deliveries { Terminal.print(delivery.json) }
            return .success
        }
        let heading = ["delivery", "subscription", "event", "item", "state", "attempts", "time", "last error"]
        Terminal.print(
            table(
                [heading]
                    + deliveries.map { delivery in
                        [
                            "\(delivery.id)", delivery.subscription.printable, delivery.event,
                            delivery.item.printable, delivery.state, "\(delivery.attempts)",
                            (delivery.finishedAt ?? delivery.nextAttemptAt).shown, delivery.lastError?.printable ?? "–",
                        ]
                    }, shortened: [heading.count - 1]))
        return .success
    }
}

enum DeliveriesRetryCommand: Command {
    private static let ids = Argument(
        repeated: .wholeNumber(1...Int64.max, "DELIVERY"), count: 0...10_000, help: "the deliveries")
    private static let subscription = Option("subscription", .text("NAME"), help: "all of this subscription")

    static let spec = CommandSpec(
        "deliveries retry", "Makes dead deliveries pending again, and waiting ones due now.", arguments: [ids],
        options: [subscription], usesDatabase: true,
        examples: [
            .init("Try one again.", "17"), .init("Try all of a subscription again.", "--subscription", "shop"),
        ])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let named = input[ids]
        guard named.isEmpty != (input[subscription] == nil) else {
            throw input.usageError("give DELIVERY… or --subscription, not both")
        }
        let (connection, schema) = try Database.open(input)
        let count = try QueueAdmin(connection: connection, schema: schema).retryDeliveries(
            named.isEmpty ? nil : named, subscription: input[subscription])
        let before = [(count.dead, "dead"), (count.deliveries - count.dead, "waiting")].filter { $0.0 > 0 }
            .map { "\(grouped($0.0)) \($0.1)" }.joined(separator: ", ")
        Terminal.print(
            counted(count.deliveries, "delivery", "deliveries")
                + (before.isEmpty ? ": none is dead or waiting" : ": \(before) → pending, due now"))
        return .success
    }
}

enum DeliveriesReplayCommand: Command {
    private static let name = Argument(.text("NAME", bytes: 1...200), help: "the subscription's name")
    private static let since = Option(
        required: "since", .pastSpan, help: "the notifications from this time, or this long ago, on")

    static let spec = CommandSpec(
        "deliveries replay", "Sends the notifications of a span of time to a subscription again.", arguments: [name],
        options: [since], usesDatabase: true,
        examples: [.init("Send those of the last day again.", "shop", "--since", "24h")],
        notes: ["The messages have the ids that they had, so a receiver can drop those that it has."])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let (connection, schema) = try Database.open(input)
        let count = try QueueAdmin(connection: connection, schema: schema).replayDeliveries(
            to: input[name], seconds: input[since].wholeSeconds)
        Terminal.print(
            "\(input[name].shownName): \(counted(Int(count), "delivery", "deliveries"))"
                + (count > 0 ? " → pending, due now" : "; there was no notification for it"))
        return .success
    }
}
