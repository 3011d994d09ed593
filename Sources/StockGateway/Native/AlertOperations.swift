import HTTPServer
import StockFormats
import StockModel

/// The operations that decide when messages are sent: the policy of a store, and the snooze of an item.
enum AlertOperations {
    static let all = [policy, setPolicy, removePolicy, snooze, setSnooze, endSnooze]

    private static let policyPath = "/v1/stores/{store_id}/alert-policy"
    private static let snoozePath = "/v1/stores/{store_id}/items/{item_id}/snooze"

    // MARK: the policy

    private static let policy = NativeOperation(
        id: "getAlertPolicy", method: .get, path: policyPath, summary: "Read how the alerts of the store are sent",
        scopes: [.manageNotifications], answers: [.init(200, "The policy.", "AlertPolicy")]
    ) { input throws(Problem) in
        input.query(.alerts(.policy)) { rows throws(Problem) in try rows.first(or: Problem(.internalError)) }
    }

    private static let setPolicy = NativeOperation(
        id: "setAlertPolicy", method: .put, path: policyPath,
        summary: "Replace how the alerts of the store are sent; what the body does not have is removed",
        scopes: [.manageNotifications], body: "AlertPolicyRequest",
        answers: [.init(200, "The policy.", "AlertPolicy"), notYetApplied]
    ) { input throws(Problem) in
        var policy = AlertPolicy()
        try FieldValues.read(try JobBody.value(input.request), AlertBody.policy, at: "") { position, value in
            guard case .integer(let number) = value else { preconditionFailure("not a number") }
            switch AlertBody.policy[position].name {
            case "default_threshold": policy.defaultThreshold = number
            case "quiet_seconds": policy.quietSeconds = number
            default: policy.rearmMargin = number
            }
        }
        return replace(policy, input)
    }

    private static let removePolicy = NativeOperation(
        id: "removeAlertPolicy", method: .delete, path: policyPath,
        summary: "Send every alert of the store at once again; items that had its threshold have none",
        scopes: [.manageNotifications],
        answers: [.init(200, "The policy, which is empty.", "AlertPolicy"), notYetApplied]
    ) { input throws(Problem) in replace(AlertPolicy(), input) }

    private static var notYetApplied: NativeOperation.Answer {
        .init(202, "The policy is set, and the gateway is still giving the items its threshold.", "AlertPolicy")
    }

    private static func replace(_ policy: AlertPolicy, _ input: NativeInput) -> CallPlan {
        input.query(.alerts(.setPolicy(policy))) { rows throws(Problem) in
            try rows.first(rows.isApplied ? .ok : .accepted, or: Problem(.internalError))
        }
    }

    // MARK: the snooze

    private static let snooze = NativeOperation(
        id: "getSnooze", method: .get, path: snoozePath,
        summary: "Read until when no message about an item is sent", scopes: [.manageNotifications],
        parameters: [.location], answers: [.init(200, "The snooze; without until, there is none.", "Snooze")]
    ) { input throws(Problem) in
        let location = try input.location()
        return input.query(.alerts(.snooze(item: input.path["item_id"], location: location))) {
            rows throws(Problem) in try rows.first(or: unknownItem)
        }
    }

    private static let setSnooze = NativeOperation(
        id: "setSnooze", method: .put, path: snoozePath, summary: "Send no message about an item until a time",
        scopes: [.manageNotifications], parameters: [.location], body: "SnoozeRequest",
        answers: [.init(200, "The snooze; a time that has passed ends it.", "Snooze")]
    ) { input throws(Problem) in
        var until: Int64?
        try FieldValues.read(try JobBody.value(input.request), AlertBody.snooze, at: "") { _, value in
            if case .time(let time) = value { until = time }
        }
        return try set(until, input)
    }

    private static let endSnooze = NativeOperation(
        id: "endSnooze", method: .delete, path: snoozePath, summary: "Send messages about an item again",
        scopes: [.manageNotifications], parameters: [.location],
        answers: [.init(200, "The snooze, which has ended.", "Snooze")]
    ) { input throws(Problem) in try set(nil, input) }

    private static func set(_ until: Int64?, _ input: NativeInput) throws(Problem) -> CallPlan {
        let subject = AlertSubject.setSnooze(
            item: input.path["item_id"], location: try input.location(), until: until)
        return input.query(.alerts(subject)) { rows throws(Problem) in try rows.first(or: unknownItem) }
    }

    private static var unknownItem: Problem { Problem(.notFound, "The store has no such item at this location.") }
}

/// The fields of policies and snoozes in bodies.
enum AlertBody {
    static let policy: [FieldDefinition] = [
        .init(
            "default_threshold", .wholeNumber(0...Quantity.max), .bigint,
            help: "Low stock when no more than this is available, for items without a threshold of their own."),
        .init(
            "quiet_seconds", .wholeNumber(0...366 * 86_400), .bigint,
            help: "After a message about an item no other follows for this time."),
        .init(
            "rearm_margin", .wholeNumber(0...Quantity.max), .bigint,
            help: "An item that was low is restocked above its threshold and this margin."),
    ]

    static let snooze: [FieldDefinition] = [
        .init("until", .time, .timestamptz, isRequired: true, help: "Until when no message is sent.")
    ]
}

extension NativeRows {
    /// The first row as the answer, or the problem where there is none.
    func first(_ status: HTTPStatus = .ok, or missing: Problem) throws(Problem) -> Response {
        if let failure { throw Problem(failure) }
        guard let row = rows.first else { throw missing }
        return .json(status, Array(row.json.utf8))
    }
}

extension Problem {
    init(_ failure: NotificationFailure) {
        switch failure {
        case .unknownSubscription: self.init(.notFound, "The store has no such subscription.")
        case .subscriptionLimit: self.init(ProblemType.subscriptionLimit)
        case .unknownTimeZone: self.init(ProblemType.unknownTimeZone)
        case .testLimit:
            self.init(.overLimit, "A subscription gets one test message a minute. Nothing was sent.")
            fields.addRetryAfter(60)
        case .disabled: self.init(ProblemType.subscriptionDisabled)
        case .thresholdsNotApplied:
            self.init(
                .unavailable,
                "The policy is set, and some items do not have its threshold yet. Send the request again.")
            fields.addRetryAfter(1)
        }
    }
}
