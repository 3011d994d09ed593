import StockQueuePostgres

/// A delivery that this process has claimed, and what it needs to send it.
struct ClaimedDelivery: Sendable {
    enum Channel: String, Sendable {
        case webhook, mail, command
    }

    let id: Int64
    let subscriptionID: Int64
    let claimID: Int64
    let channel: Channel
    /// The URL, the mail address, or the name of the program.
    let target: String
    /// With what a webhook's messages are signed: one secret, and for a time after a change the one before.
    let secrets: [String]
    /// The same for each attempt.
    let messageID: String
    /// For instance `stock.low`.
    let event: String
    /// The event's data: a JSON object.
    let data: String
    let occurredAt: Timestamp
    /// With this one.
    let attempts: Int
    /// The subscription's name.
    let subscription: String
    /// The subscription's store; nil for all stores.
    let store: String?
    let timeZone: String?

    /// The message of a webhook and of a command.
    var body: String { #"{"type":"\#(event)","timestamp":"\#(occurredAt)","data":\#(data)}"# }
}

/// How an attempt ended.
struct DeliveryEnd: Sendable {
    /// Why it failed; nil for a success.
    var error: String?
    /// The pause that the receiver asked for, seconds.
    var pauseSeconds: Int?
    /// The receiver wants nothing more.
    var isGone = false

    static let delivered = DeliveryEnd()

    static func failed(_ error: String) -> DeliveryEnd { DeliveryEnd(error: error) }
}
