import CommandLineKit
import StockQueue

/// The argument of the commands below.
private let subscriptionName = Argument(.text("NAME", bytes: 1...200), help: "the subscription's name")

enum SubscriptionsEnableCommand: Command {
    static let spec = CommandSpec(
        "subscriptions enable", "Sends messages to a subscription again.", arguments: [subscriptionName],
        usesDatabase: true, examples: [.init("Enable the subscription shop.", "shop")],
        notes: ["What came while it was disabled is sent by deliveries replay."])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let (connection, schema) = try Database.open(input)
        try QueueAdmin(connection: connection, schema: schema).setSubscription(input[subscriptionName], enabled: true)
        Terminal.print("enabled")
        return .success
    }
}

enum SubscriptionsDisableCommand: Command {
    static let spec = CommandSpec(
        "subscriptions disable", "Sends nothing more to a subscription.", arguments: [subscriptionName],
        usesDatabase: true, examples: [.init("Disable the subscription shop.", "shop")])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let (connection, schema) = try Database.open(input)
        try QueueAdmin(connection: connection, schema: schema).setSubscription(input[subscriptionName], enabled: false)
        Terminal.print("disabled")
        return .success
    }
}

enum SubscriptionsRemoveCommand: Command {
    static let spec = CommandSpec(
        "subscriptions remove", "Removes a subscription and its deliveries.", arguments: [subscriptionName],
        usesDatabase: true, examples: [.init("Remove the subscription shop.", "shop")])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let (connection, schema) = try Database.open(input)
        try QueueAdmin(connection: connection, schema: schema).removeSubscription(input[subscriptionName])
        Terminal.print("removed")
        return .success
    }
}

enum SubscriptionsTestCommand: Command {
    static let spec = CommandSpec(
        "subscriptions test", "Sends a message of the event stock.test to a subscription.",
        arguments: [subscriptionName], usesDatabase: true, examples: [.init("Test the subscription shop.", "shop")],
        notes: ["A process that delivers sends it; deliveries list shows how it ended."])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let (connection, schema) = try Database.open(input)
        let id = try QueueAdmin(connection: connection, schema: schema).testSubscription(input[subscriptionName])
        Terminal.print("delivery \(id)")
        return .success
    }
}

enum SubscriptionsRotateCommand: Command {
    private static let keepOld = Option(
        "keep-old", .duration, default: .seconds(86_400), help: "sign with the old secret too for this long")

    static let spec = CommandSpec(
        "subscriptions rotate", "Gives a webhook another secret, and prints it once.",
        arguments: [subscriptionName], options: [keepOld], usesDatabase: true,
        examples: [.init("Give the subscription shop another secret.", "shop")])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let (connection, schema) = try Database.open(input)
        let secret = WebhookSignature.randomSecret()
        try QueueAdmin(connection: connection, schema: schema).rotateSecret(
            ofSubscription: input[subscriptionName], to: secret, keepOldSeconds: input[keepOld].wholeSeconds)
        Terminal.print(secret)
        return .success
    }
}
