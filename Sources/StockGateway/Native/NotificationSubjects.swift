/// What a call does with the policy of a store's alerts, or with the snooze of an item.
package enum AlertSubject: Sendable, Hashable {
    case policy
    /// Replaces the policy; an empty one removes it.
    case setPolicy(AlertPolicy)
    case snooze(item: String, location: String)
    /// In microseconds since 2000-01-01 00:00 UTC; nil ends the snooze.
    case setSnooze(item: String, location: String, until: Int64?)
}

/// How the alerts of a store are sent.
package struct AlertPolicy: Sendable, Hashable {
    /// The threshold of the items that have none of their own.
    package var defaultThreshold: Int64?
    /// For so many seconds after a message about an item no other follows.
    package var quietSeconds: Int64?
    /// An item that was announced as low is restocked when more than threshold + margin is available.
    package var rearmMargin: Int64?

    package init() {}
}

/// What a call does with the subscriptions of a store.
package enum SubscriptionSubject: Sendable, Hashable {
    case list
    case one(Int64)
    case add(SubscriptionRequest)
    case setEnabled(Int64, Bool)
    /// Gives a webhook another secret.
    case rotateSecret(Int64)
    case remove(Int64)
    /// Sends a test message.
    case test(Int64)
    case deliveries(DeliveryFilter)
    /// nil: all that are dead or wait.
    case retry(Int64, delivery: Int64?)
}

/// What a new subscription has. Neither its name nor its secret is the caller's choice.
package struct SubscriptionRequest: Sendable, Hashable {
    /// How messages are sent. The third channel runs a program, which no caller of the gateway may choose.
    package enum Channel: String, Sendable, CaseIterable {
        case webhook, mail
    }

    package var channel: Channel
    /// The URL or the mail address.
    package var target: String
    package var events: [SubscriptionEvent]
    package var itemPrefix = ""
    package var locationPrefix = ""
    /// Of a mail: notifications within so many seconds are one message.
    package var digestWindowSeconds: Int64?
    /// Of a mail: one message a day at this local time, `08:00`, of the time zone.
    package var digestAt: String?
    package var timeZone: String?

    package init(_ channel: Channel, target: String, events: [SubscriptionEvent]) {
        self.channel = channel
        self.target = target
        self.events = events
    }
}

/// What a subscription can be about.
package enum SubscriptionEvent: String, Sendable, CaseIterable {
    case low = "stock.low"
    case out = "stock.out"
    case back = "stock.back_in_stock"
    case restocked = "stock.restocked"
    /// Every change of stock.
    case changed = "stock.changed"

    /// Those of alerts.
    package static let alerts: [SubscriptionEvent] = [.low, .out, .back, .restocked]
}

/// A part of the list of a subscription's deliveries, newest first.
package struct DeliveryFilter: Sendable, Hashable {
    package enum State: String, Sendable, CaseIterable {
        case pending, delivered, dead
    }

    package var subscriptionID: Int64
    package var state: State?
    /// Only those with lower ids.
    package var before: Int64?
    package var limit: Int

    package init(of subscriptionID: Int64, state: State? = nil, before: Int64? = nil, limit: Int) {
        self.subscriptionID = subscriptionID
        self.state = state
        self.before = before
        self.limit = limit
    }
}

/// Why a call about subscriptions or policies has no answer. The functions of the schema return the same names.
package enum NotificationFailure: String, Sendable {
    case unknownSubscription = "unknown_subscription"
    /// The store has as many subscriptions as it may have.
    case subscriptionLimit = "subscription_limit"
    case unknownTimeZone = "unknown_time_zone"
    /// The last test message is less than a minute old.
    case testLimit = "test_limit"
    /// Nothing is sent to the subscription.
    case disabled
    /// The policy is set, and an error came before all items had its threshold. No function returns it.
    case thresholdsNotApplied = "thresholds_not_applied"
}
