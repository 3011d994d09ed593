import HTTPServer
import StockFormats
import StockModel

/// The operations that decide where messages are sent: subscriptions and their deliveries.
enum SubscriptionOperations {
    static let all = [list, create, one, change, remove, rotate, test, deliveries, retryAll, retry]

    private static let path = "/v1/stores/{store_id}/subscriptions"
    private static let onePath = "\(path)/{subscription_id}"

    private static let links = [
        "getSubscription", "changeSubscription", "rotateSecret", "testSubscription", "listDeliveries",
        "retryDeliveries", "removeSubscription",
    ].map { NativeOperation.Link($0, "subscription_id", "/subscription_id") }

    // MARK: subscriptions

    private static let list = NativeOperation(
        id: "listSubscriptions", method: .get, path: path,
        summary: "List the store's subscriptions by webhook and mail, without their secrets",
        scopes: [.manageNotifications], answers: [.init(200, "The subscriptions.", "Subscriptions")]
    ) { input throws(Problem) in
        input.query(.subscriptions(.list)) { rows throws(Problem) in
            JobAnswers.members("subscriptions", rows.rows.map(\.json))
        }
    }

    private static let create = NativeOperation(
        id: "createSubscription", method: .post, path: path,
        summary: "Send the store's notifications to a URL or a mailbox; a store has at most 10 subscriptions",
        scopes: [.manageNotifications], body: "SubscriptionRequest",
        answers: [
            .init(
                201, "The subscription. This answer alone has the secret of a webhook.", "NewSubscription",
                fields: ["Location"], links: links)
        ]
    ) { input throws(Problem) in
        let request = try SubscriptionBody.read(try JobBody.value(input.request))
        return input.query(.subscriptions(.add(request))) { [store = input.store] rows throws(Problem) in
            var response = try rows.first(.created, or: Problem(.internalError))
            if let id = rows.rows[0].id {
                response.fields.add("Location", "/v1/stores/\(PathText.encoded(store))/subscriptions/\(id)")
            }
            return response
        }
    }

    private static let one = NativeOperation(
        id: "getSubscription", method: .get, path: onePath, summary: "Read a subscription",
        scopes: [.manageNotifications], answers: [.init(200, "The subscription.", "Subscription")]
    ) { input throws(Problem) in
        input.query(.subscriptions(.one(try id(input)))) { rows throws(Problem) in try rows.first(or: unknown) }
    }

    private static let change = NativeOperation(
        id: "changeSubscription", method: .patch, path: onePath,
        summary: "Enable or disable a subscription; what comes while it is disabled is not sent to it",
        scopes: [.manageNotifications], body: "SubscriptionChange",
        answers: [.init(200, "The subscription.", "Subscription")]
    ) { input throws(Problem) in
        var isEnabled = true
        try FieldValues.read(try JobBody.value(input.request), SubscriptionBody.change, at: "") { _, value in
            if case .flag(let flag) = value { isEnabled = flag }
        }
        return input.query(.subscriptions(.setEnabled(try id(input), isEnabled))) { rows throws(Problem) in
            try rows.first(or: unknown)
        }
    }

    private static let remove = NativeOperation(
        id: "removeSubscription", method: .delete, path: onePath, summary: "Remove a subscription and its deliveries",
        scopes: [.manageNotifications], answers: [.empty(204, "The subscription is removed.")]
    ) { input throws(Problem) in
        input.query(.subscriptions(.remove(try id(input)))) { rows throws(Problem) in
            if let failure = rows.failure { throw Problem(failure) }
            return Response(.noContent)
        }
    }

    private static let rotate = NativeOperation(
        id: "rotateSecret", method: .post, path: "\(onePath)/secret",
        summary: "Give a webhook another secret; for a day messages are signed with the old one too",
        scopes: [.manageNotifications],
        answers: [.init(200, "The secret, which no other answer has.", "SubscriptionSecret")]
    ) { input throws(Problem) in
        input.query(.subscriptions(.rotateSecret(try id(input)))) { rows throws(Problem) in
            try rows.first(or: Problem(.notFound, "The subscription is no webhook, and has no secret."))
        }
    }

    private static let test = NativeOperation(
        id: "testSubscription", method: .post, path: "\(onePath)/test",
        summary: "Send a message of the event stock.test, at most one a minute", scopes: [.manageNotifications],
        answers: [.init(202, "The delivery, which a process that delivers attempts.", "Delivery")], problems: [409]
    ) { input throws(Problem) in
        input.query(.subscriptions(.test(try id(input)))) { rows throws(Problem) in
            try rows.first(.accepted, or: unknown)
        }
    }

    // MARK: deliveries

    private static let deliveries = NativeOperation(
        id: "listDeliveries", method: .get, path: "\(onePath)/deliveries",
        summary: "List the newest deliveries, newest first; next has the path of older ones",
        scopes: [.manageNotifications],
        parameters: [
            .init(
                name: "state", location: .query, schema: NativeSchemas.deliveryState, help: "Only those in this state."),
            .init(
                name: "before", location: .query, schema: NativeSchemas.jobID, help: "Only those with lower ids."),
            .limit,
        ], answers: [.init(200, "The deliveries.", "Deliveries")]
    ) { input throws(Problem) in
        var filter = DeliveryFilter(of: try id(input), limit: try input.limit())
        if let text = input.text("state") {
            guard let state = DeliveryFilter.State(rawValue: text) else {
                let known = DeliveryFilter.State.allCases.map(\.rawValue).joined(separator: ", ")
                throw Problem.parameter("state", "must be one of \(known)")
            }
            filter.state = state
        }
        if let text = input.text("before") {
            guard let before = Int64(pathText: text), before > 0 else {
                throw Problem.parameter("before", "must be the id of a delivery")
            }
            filter.before = before
        }
        return input.query(.subscriptions(.deliveries(filter))) { [filter, store = input.store] rows throws(Problem) in
            if let failure = rows.failure { throw Problem(failure) }
            return JobAnswers.members("deliveries", rows.rows.map(\.json), ("next", next(rows, filter, store)))
        }
    }

    /// nil on the last page.
    private static func next(_ rows: NativeRows, _ filter: DeliveryFilter, _ store: String) -> String? {
        guard rows.rows.count == filter.limit, let last = rows.rows.last?.id else { return nil }
        let state = filter.state.map { "state=\($0.rawValue)&" } ?? ""
        return "/v1/stores/\(PathText.encoded(store))/subscriptions/\(filter.subscriptionID)/deliveries?"
            + "\(state)before=\(last)&limit=\(filter.limit)"
    }

    private static let retryAll = NativeOperation(
        id: "retryDeliveries", method: .post, path: "\(onePath)/retry",
        summary: "Make all dead deliveries of a subscription pending again, and waiting ones due now",
        scopes: [.manageNotifications], answers: [.init(200, "How many.", "Retried")]
    ) { input throws(Problem) in
        input.query(.subscriptions(.retry(try id(input), delivery: nil))) { rows throws(Problem) in
            try rows.first(or: unknown)
        }
    }

    private static let retry = NativeOperation(
        id: "retryDelivery", method: .post, path: "\(onePath)/deliveries/{delivery_id}/retry",
        summary: "Make a dead delivery pending again, or a waiting one due now", scopes: [.manageNotifications],
        answers: [.init(200, "The delivery; one that was delivered stays as it is.", "Delivery")]
    ) { input throws(Problem) in
        let missing = Problem(.notFound, "The subscription has no such delivery.")
        guard let delivery: Int64 = input.path.value("delivery_id"), delivery > 0 else { throw missing }
        return input.query(.subscriptions(.retry(try id(input), delivery: delivery))) { rows throws(Problem) in
            try rows.first(or: missing)
        }
    }

    private static func id(_ input: NativeInput) throws(Problem) -> Int64 {
        guard let id: Int64 = input.path.value("subscription_id"), id > 0 else { throw unknown }
        return id
    }

    private static var unknown: Problem { Problem(.unknownSubscription) }
}
