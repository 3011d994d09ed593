import StockFormats
import StockModel

/// The schemas of subscriptions, deliveries, policies and snoozes.
extension NativeSchemas {
    static let ofNotifications: [(name: String, schema: JSONValue)] = [
        ("AlertPolicyRequest", AlertBody.policy.requestSchema { _ in .null }), ("AlertPolicy", alertPolicy),
        ("SnoozeRequest", AlertBody.snooze.requestSchema { _ in .null }), ("Snooze", snooze),
        (
            "SubscriptionRequest",
            [
                "oneOf": [reference("WebhookRequest"), reference("MailRequest")],
                "discriminator": [
                    "propertyName": "channel",
                    "mapping": [
                        "webhook": "#/components/schemas/WebhookRequest", "mail": "#/components/schemas/MailRequest",
                    ],
                ],
            ]
        ), ("WebhookRequest", request(.webhook)), ("MailRequest", request(.mail)),
        ("SubscriptionChange", SubscriptionBody.change.requestSchema { _ in .null }),
        ("Subscription", subscription(more: [])),
        ("NewSubscription", subscription(more: [JSONMember("secret", secret)])),
        ("Subscriptions", list("subscriptions", "Subscription")), ("SubscriptionSecret", newSecret),
        ("Delivery", delivery),
        (
            "Deliveries",
            list("deliveries", "Delivery", more: ["next": ["type": "string", "format": "uri-reference"]])
        ), ("Retried", object(["retried": count], required: ["retried"])),
    ]

    static let deliveryState: JSONValue = [
        "type": "string", "enum": .array(DeliveryFilter.State.allCases.map { .string($0.rawValue) }),
    ]

    private static func request(_ channel: SubscriptionRequest.Channel) -> JSONValue {
        let fields = SubscriptionBody.fields(of: channel)
        let names = SubscriptionBody.events(of: channel).map { JSONValue.string($0.rawValue) }
        var properties = fields.properties { _ in .null }
        for field in SubscriptionBody.patternFields(of: channel) {
            properties = properties.map { property in
                guard property.key == field.definition.name else { return property }
                let pattern = JSONMember("pattern", .string(field.pattern))
                let others = property.value.members.filter { $0.key != "pattern" }
                return JSONMember(property.key, .object(others + [pattern]))
            }
        }
        properties.append(
            JSONMember(
                "events",
                [
                    "type": ["array", "null"], "minItems": 1, "maxItems": .integer(names.count),
                    "items": ["type": "string", "enum": .array(names)],
                    "description": "The events that are sent; without it all but stock.changed, which is every change.",
                ]))
        return object(.object(properties), required: fields.filter(\.isRequired).map(\.name))
    }

    private static let events: JSONValue = [
        "type": "array",
        "items": ["type": "string", "enum": .array(SubscriptionEvent.allCases.map { .string($0.rawValue) })],
    ]

    private static let secret: JSONValue = [
        "type": "string", "pattern": "^whsec_[A-Za-z0-9+/]+={0,2}$",
        "description": "With what the messages of a webhook are signed (Standard Webhooks).",
    ]

    private static func subscription(more: [JSONMember]) -> JSONValue {
        object(
            .object(
                [
                    JSONMember("subscription_id", jobID), JSONMember("name", text), JSONMember("store_id", text),
                    JSONMember(
                        "channel",
                        [
                            "type": "string",
                            "enum": .array(SubscriptionRequest.Channel.allCases.map { .string($0.rawValue) }),
                        ]), JSONMember("target", text), JSONMember("events", events), JSONMember("item_prefix", text),
                    JSONMember("location_prefix", text), JSONMember("digest_window_seconds", count),
                    JSONMember("digest_at", text), JSONMember("time_zone", text), JSONMember("created_at", time),
                    JSONMember("failing_since", time), JSONMember("enabled", flag), JSONMember("disabled_at", time),
                    JSONMember("disabled_reason", text), JSONMember("pending", count), JSONMember("dead", count),
                ] + more),
            required: [
                "subscription_id", "name", "store_id", "channel", "target", "events", "created_at", "enabled",
                "pending", "dead",
            ])
    }

    private static let newSecret: JSONValue = object(
        .object([
            JSONMember("subscription_id", jobID), JSONMember("secret", secret), JSONMember("old_secret_until", time),
        ]), required: ["subscription_id", "secret"])

    private static let delivery: JSONValue = object(
        [
            "delivery_id": jobID, "message_id": text, "event": text, "item_id": text, "location_id": text,
            "state": deliveryState, "attempts": count, "occurred_at": time, "created_at": time,
            "next_attempt_at": time, "finished_at": time, "last_error": text,
        ],
        required: ["delivery_id", "message_id", "event", "state", "attempts", "occurred_at", "created_at"])

    private static let alertPolicy: JSONValue = object(
        ["store_id": text, "default_threshold": count, "quiet_seconds": count, "rearm_margin": count],
        required: ["store_id", "quiet_seconds", "rearm_margin"])

    private static let snooze: JSONValue = object(
        ["store_id": text, "item_id": text, "location_id": text, "until": time],
        required: ["store_id", "item_id", "location_id"])
}
