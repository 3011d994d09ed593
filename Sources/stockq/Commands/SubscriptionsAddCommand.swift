import CommandLineKit
import StockQueue

enum SubscriptionsAddCommand: Command {
    /// What a subscription may be about.
    private enum Event: String, CaseIterable, Sendable {
        case low = "stock.low"
        case out = "stock.out"
        case back = "stock.back_in_stock"
        case restocked = "stock.restocked"
        case changed = "stock.changed"
    }

    private static let name = Argument(.text("NAME", bytes: 1...200), help: "the subscription's name")
    private static let webhook = Option("webhook", .text("URL"), help: "POST each message to this URL, signed")
    private static let mail = Option("mail", .text("ADDRESS"), help: "mail to this address")
    private static let command = Option(
        "command", .text("PROGRAM"), help: "run this program of the setting commandFolder, with the message as input")
    private static let store = Option("store", .text("STORE"), defaultText: "all stores", help: "only this store")
    private static let events = Option(
        repeated: "event", .choice("EVENT", of: Event.allCases),
        help: "only this event; give it again for each; without it all but stock.changed, which is every change")
    private static let items = Option("items", .text("PREFIX"), help: "only items whose ids begin with this")
    private static let locations = Option(
        "locations", .text("PREFIX"), help: "only locations whose ids begin with this")
    private static let window = Option(
        "digest-window", .duration, defaultText: "5m",
        help: "of a mail: notifications within this time are one message")
    private static let daily = Option("daily", .text("HH:MM"), help: "of a mail: one message a day at this local time")
    private static let zone = Option(
        "time-zone", .text("ZONE"), defaultText: "UTC", help: "of --daily, for instance Europe/Berlin")
    private static let secret = Option(
        "secret", .text("SECRET"), defaultText: "a new one, which is printed",
        help: "with what a webhook's messages are signed: whsec_ and 24 to 64 bytes in base64")

    static let spec = CommandSpec(
        "subscriptions add", "Sends the notifications of a store to a webhook, a mailbox or a program.",
        arguments: [name],
        options: [webhook, mail, command, store, events, items, locations, window, daily, zone, secret],
        usesDatabase: true,
        examples: [
            .init("Post to a URL.", "shop", "--webhook", "https://example.com/stock", "--store", "berlin"),
            .init("Mail what runs out.", "owner", "--mail", "owner@example.com", "--event", "stock.out"),
            .init(
                "Mail once a day.", "daily", "--mail", "owner@example.com", "--daily", "08:00", "--time-zone",
                "Europe/Berlin"),
        ],
        notes: [
            "A subscription gets what is committed after it was added; deliveries replay sends older notifications."
        ])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let targets = [("webhook", input[webhook]), ("mail", input[mail]), ("command", input[command])]
        let given = targets.compactMap { channel, target in target.map { (channel, $0) } }
        guard given.count == 1 else { throw input.usageError("give one of --webhook, --mail and --command") }
        let (channel, target) = given[0]
        let chosen = input[events].map(\.rawValue)
        let defaults = Event.allCases.filter { $0 != .changed }.map(\.rawValue)
        var new = QueueAdmin.NewSubscription(
            name: input[name], channel: channel, target: target, store: input[store],
            events: chosen.isEmpty ? defaults : chosen)
        new.itemPrefix = input[items] ?? ""
        new.locationPrefix = input[locations] ?? ""
        try check(input, channel, target)
        if channel == "mail" {
            if let time = input[daily] {
                new.digestAt = time
                new.timeZone = input[zone] ?? "UTC"
            } else {
                new.digestWindowSeconds = input[window]?.wholeSeconds ?? 300
            }
        }
        let key = channel == "webhook" ? input[secret] ?? WebhookSignature.randomSecret() : nil
        let (connection, schema) = try Database.open(input)
        try QueueAdmin(connection: connection, schema: schema).addSubscription(new, secret: key)
        Terminal.print(input.isGiven(secret) ? "added" : key ?? "added")
        return .success
    }

    private static func check(_ input: ParsedCommand, _ channel: String, _ target: String) throws {
        if channel == "mail" {
            guard MailMessage.isAddress(target) else {
                throw input.usageError("--mail takes one address like owner@example.com, not '\(target.shown)'")
            }
            if input[events].contains(.changed) { throw input.usageError("stock.changed is not sent by mail") }
            if input.isGiven(daily) && input.isGiven(window) {
                throw input.usageError("give --daily or --digest-window, not both")
            }
        } else if input.isGiven(window) || input.isGiven(daily) || input.isGiven(zone) {
            throw input.usageError("--digest-window, --daily and --time-zone are for --mail")
        }
        if channel == "webhook" {
            guard target.hasPrefix("https://") || target.hasPrefix("http://") else {
                throw input.usageError("--webhook takes a URL of https or http, not '\(target.shown)'")
            }
        }
        if let secret = input[secret] {
            guard channel == "webhook", WebhookSignature.isSecret(secret) else {
                throw input.usageError("--secret takes whsec_ and 24 to 64 bytes in base64, and is for --webhook")
            }
        }
    }
}
