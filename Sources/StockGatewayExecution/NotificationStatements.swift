import StockGateway
import StockModel
import StockQueue
import StockQueuePostgres

// The functions of `migrations/functions/native_notifications.sql`, behind the token's hash and the store.

/// The calls about policies and snoozes.
enum AlertCalls {
    /// - Returns: the function and the types of the parameters that were added.
    static func add(_ subject: AlertSubject, to parameters: inout Parameters) -> (name: String, types: [TypeOID]) {
        switch subject {
        case .policy: return ("gateway_alert_policy", [])
        case .setPolicy(let policy):
            for number in [policy.defaultThreshold, policy.quietSeconds, policy.rearmMargin] { parameters.add(number) }
            return ("gateway_set_alert_policy", [.int8, .int8, .int8])
        case .snooze(let item, let location):
            for text in [item, location] { parameters.add(text) }
            return ("gateway_snooze", [.text, .text])
        case .setSnooze(let item, let location, let until):
            for text in [item, location] { parameters.add(text) }
            parameters.add(until.map { Timestamp(microsecondsSince2000: $0) })
            return ("gateway_set_snooze", [.text, .text, .timestamptz])
        }
    }
}

/// The calls about subscriptions and deliveries.
enum SubscriptionCalls {
    /// What a call makes up once, so that its statement can be sent again after a lost connection.
    struct Secrets: Sendable {
        /// The name by which administrators find the subscription.
        let name = "api-" + GatewaySecret.randomHex(bytes: 8)
        let webhook = WebhookSignature.randomSecret()

        /// nil for a call that needs none.
        init?(_ query: NativeQuery) {
            switch query.subject {
            case .subscriptions(.add), .subscriptions(.rotateSecret): break
            default: return nil
            }
        }
    }

    /// - Returns: the function and the types of the parameters that were added.
    static func add(
        _ subject: SubscriptionSubject, _ secrets: Secrets?, to parameters: inout Parameters
    ) -> (name: String, types: [TypeOID]) {
        func addID(_ id: Int64?, _ name: String) -> (String, [TypeOID]) {
            parameters.add(id)
            return (name, [.int8])
        }
        switch subject {
        case .list: return addID(nil, "gateway_subscriptions")
        case .one(let id): return addID(id, "gateway_subscriptions")
        case .remove(let id): return addID(id, "gateway_remove_subscription")
        case .test(let id): return addID(id, "gateway_test_subscription")
        case .add(let request): return add(request, secrets, to: &parameters)
        case .setEnabled(let id, let isEnabled):
            parameters.add(id)
            parameters.add(isEnabled)
            return ("gateway_set_subscription", [.int8, .bool])
        case .rotateSecret(let id):
            parameters.add(id)
            parameters.add(secrets?.webhook)
            return ("gateway_rotate_secret", [.int8, .text])
        case .deliveries(let filter):
            parameters.add(filter.subscriptionID)
            parameters.add(filter.state?.rawValue)
            parameters.add(filter.before)
            parameters.add(Int32(filter.limit))
            return ("gateway_deliveries", [.int8, .text, .int8, .int4])
        case .retry(let id, let delivery):
            parameters.add(id)
            parameters.add(delivery)
            return ("gateway_retry_deliveries", [.int8, .int8])
        }
    }

    private static func add(
        _ request: SubscriptionRequest, _ secrets: Secrets?, to parameters: inout Parameters
    ) -> (name: String, types: [TypeOID]) {
        for text in [secrets?.name, request.channel.rawValue, request.target] { parameters.add(text) }
        parameters.addArray(request.events.map(\.rawValue))
        parameters.add(request.channel == .webhook ? secrets?.webhook : nil)
        for text in [request.itemPrefix, request.locationPrefix] { parameters.add(text) }
        parameters.add(request.digestWindowSeconds)
        for text in [request.digestAt, request.timeZone] { parameters.add(text) }
        return (
            "gateway_add_subscription",
            [.text, .text, .text, .textArray, .text, .text, .text, .int8, .text, .text]
        )
    }
}

/// Gives a store's threshold to its next items.
enum ApplyThreshold {
    /// The last item of a page.
    struct Place: Sendable, Hashable {
        var item = ""
        var location = ""
    }

    /// - Returns: the last item that was seen; nil at the end of the store's items.
    static func run(
        _ access: Access, after place: Place, _ schema: QueueSchema, _ connection: Connection
    ) throws(PostgresError) -> Result<Place?, CallFailure> {
        let statement = Statement(
            "gateway_apply_threshold", [.text, .text, .text, .text],
            """
            SELECT failure, last_item, last_location FROM \(schema.quoted).gateway_apply_threshold($1, $2, $3, $4)
            """)
        var parameters = Parameters()
        for text in [access.tokenHash, access.storeID, place.item, place.location] { parameters.add(text) }
        let rows = try connection.execute(statement, parameters)
        if let failure = rows.optionalString(0, rows.column("failure")) { return .failure(CallFailure(failure)) }
        if rows.rowCount < 2 { return .success(nil) }
        return .success(
            Place(
                item: rows.string(1, rows.column("last_item")), location: rows.string(1, rows.column("last_location"))))
    }
}
