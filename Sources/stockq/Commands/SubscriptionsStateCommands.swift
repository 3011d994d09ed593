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
        try setEnabled(true, input)
        return .success
    }
}

enum SubscriptionsDisableCommand: Command {
    static let spec = CommandSpec(
        "subscriptions disable", "Sends nothing more to a subscription.", arguments: [subscriptionName],
        usesDatabase: true, examples: [.init("Disable the subscription shop.", "shop")])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        try setEnabled(false, input)
        return .success
    }
}

enum SubscriptionsRemoveCommand: Command {
    static let spec = CommandSpec(
        "subscriptions remove", "Removes a subscription and its deliveries.", arguments: [subscriptionName],
        usesDatabase: true, examples: [.init("Remove the subscription shop.", "shop")])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let (connection, schema) = try Database.open(input)
        let admin = QueueAdmin(connection: connection, schema: schema)
        let before = try state(input, admin)
        try admin.removeSubscription(input[subscriptionName])
        Terminal.print("\(input[subscriptionName].shownName): \(before) → removed")
        return .success
    }
}

/// Prints `shop: disabled (by an administrator), 3 pending → enabled, 3 pending`.
private func setEnabled(_ enabled: Bool, _ input: ParsedCommand) throws {
    let (connection, schema) = try Database.open(input)
    let admin = QueueAdmin(connection: connection, schema: schema)
    let before = try state(input, admin)
    try admin.setSubscription(input[subscriptionName], enabled: enabled)
    let after = try state(input, admin)
    Terminal.print(
        "\(input[subscriptionName].shownName): \(before == after ? "\(after) already" : "\(before) → \(after)")")
}

/// `enabled, 3 pending, 1 dead`
private func state(_ input: ParsedCommand, _ admin: QueueAdmin) throws -> String {
    guard let found = try admin.subscriptions().first(where: { $0.name == input[subscriptionName] }) else {
        return "unknown"
    }
    let counts = [(found.pending, "pending"), (found.dead, "dead")].filter { $0.0 > 0 }
        .map { "\(grouped($0.0)) \($0.1)" }
    let state = found.disabledReason.map { "disabled (\($0.printable))" } ?? "enabled"
    return ([state] + counts).joined(separator: ", ")
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
