import Foundation
import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// Subscriptions and alerts of `stockq serve`, from curl to a receiver.
@Suite("stockq serve: subscriptions and alerts") struct NativeNotificationServeTests {
    typealias Shop = ServeCommandTests.Shop

    private static let api = "/v1/stores/1003"

    private static func withShop(
        _ arguments: [String] = [], _ body: @escaping @Sendable (Shop) throws -> Void
    ) async throws {
        try await withDatabase { (database: TestDatabase) throws in
            let shop = try Shop(database, arguments)
            try body(shop)
            try shop.stop()
        }
    }

    private static func arguments(_ shop: Shop, _ method: String, _ body: String?) -> [String] {
        ["-X", method, "-H", "Authorization: Bearer \(shop.token)"]
            + (body.map { ["-H", "Content-Type: application/json", "-d", $0] } ?? [])
    }

    private static func call(
        _ shop: Shop, _ method: String, _ path: String, _ body: String? = nil
    ) throws -> ServeCommandTests.Answer {
        try shop.curl(api + path, arguments(shop, method, body))
    }

    private static func object(_ answer: ServeCommandTests.Answer) throws -> [String: Any] {
        let value = try JSONSerialization.jsonObject(with: Data(answer.body.utf8))
        return try #require(value as? [String: Any], "\(answer)")
    }

    private static func added(_ shop: Shop, _ url: String) throws -> (id: Int, secret: String) {
        let answer = try call(shop, "POST", "/subscriptions", #"{"channel":"webhook","target":"\#(url)"}"#)
        #expect(answer.status == 201, "\(answer)")
        let object = try object(answer)
        return (try #require(object["subscription_id"] as? Int), try #require(object["secret"] as? String))
    }

    private static func lastDelivery(_ shop: Shop, _ id: Int) throws -> [String: Any] {
        let answer = try call(shop, "GET", "/subscriptions/\(id)/deliveries?limit=1")
        let deliveries = try object(answer)["deliveries"] as? [[String: Any]]
        return try #require(deliveries?.first, "\(answer)")
    }

    // MARK: subscriptions

    @Test("a webhook gets a test and what runs low, signed with the secret of its creation") func webhook()
        async throws
    {
        let settings = ["--set", "allowPrivateTargets=true", "--set", "deliveryPollInterval=20ms"]
        try await Self.withShop(settings) { (shop: Shop) throws in
            let receiver = try WebhookReceiver()
            let (id, secret) = try Self.added(shop, receiver.url("/ok"))
            #expect(WebhookSignature.isSecret(secret))
            #expect(try shop.database.value("SELECT secret FROM stockq.subscriptions") == secret)
            #expect(try !Self.call(shop, "GET", "/subscriptions").body.contains(secret))
            let test = try Self.call(shop, "POST", "/subscriptions/\(id)/test")
            #expect(test.status == 202 && test.body.contains(#""event":"stock.test""#), "\(test)")
            #expect(eventually { receiver.received.map(\.event) == ["stock.test"] })
            #expect(try Self.call(shop, "POST", "/subscriptions/\(id)/test").status == 429)
            #expect(try Self.call(shop, "PUT", "/alert-policy", #"{"default_threshold":20}"#).status == 200)
            #expect(eventually { receiver.received.map(\.event) == ["stock.test", "stock.low", "stock.low"] })
            #expect(eventually { (try? Self.lastDelivery(shop, id)["state"] as? String) == "delivered" })
            #expect(try Self.call(shop, "DELETE", "/subscriptions/\(id)").status == 204)
            #expect(try Self.call(shop, "GET", "/subscriptions/\(id)").status == 404)
            #expect(try shop.database.value("SELECT count(*) FROM stockq.subscriptions") == "0")
        }
    }

    @Test("a URL with a private address is refused when the message is sent, and a retry attempts it again")
    func privateAddress() async throws {
        try await Self.withShop(["--set", "deliveryPollInterval=20ms"]) { (shop: Shop) throws in
            let receiver = try WebhookReceiver()
            let id = try Self.added(shop, receiver.url("/ok")).id
            #expect(try Self.call(shop, "POST", "/subscriptions/\(id)/test").status == 202)
            #expect(
                eventually {
                    let error = try? Self.lastDelivery(shop, id)["last_error"] as? String
                    return error?.contains("not public") == true
                })
            let delivery = try Self.lastDelivery(shop, id)
            #expect(delivery["state"] as? String == "pending" && delivery["attempts"] as? Int ?? 0 > 0)
            // As if the schedule had ended.
            try shop.database.run(
                "UPDATE stockq.deliveries SET state = 'dead', attempts = 8, finished_at = now(), claim_id = NULL")
            let one = try #require(delivery["delivery_id"] as? Int)
            let retried = try Self.call(shop, "POST", "/subscriptions/\(id)/deliveries/\(one)/retry")
            #expect(retried.status == 200 && retried.body.contains(#""attempts":0"#), "\(retried)")
            #expect(eventually { (try? Self.lastDelivery(shop, id)["attempts"] as? Int) ?? 0 > 0 })
            #expect(receiver.received.isEmpty)
        }
    }

    @Test("a mail subscription is disabled and enabled, and the administrator sees it") func mail() async throws {
        try await Self.withShop(["--set", "deliver=false"]) { (shop: Shop) throws in
            let answer = try Self.call(
                shop, "POST", "/subscriptions",
                #"{"channel":"mail","target":"owner@example.com","digest_at":"08:00","time_zone":"Europe/Berlin"}"#)
            #expect(answer.status == 201 && !answer.body.contains("secret"), "\(answer)")
            let name = try #require(try Self.object(answer)["name"] as? String)
            let disabled = try Self.call(shop, "PATCH", "/subscriptions/1", #"{"enabled":false}"#)
            #expect(disabled.body.contains(#""enabled":false"#), "\(disabled)")
            let untested = try Self.call(shop, "POST", "/subscriptions/1/test")
            #expect(untested.status == 409 && untested.body.contains("subscription_disabled"), "\(untested)")
            let list = try Program(shop.database).run(["subscriptions", "list"]).out
            #expect(list.contains(name) && list.contains("disabled: by a caller of the API"), "\(list)")
            let enabled = try Self.call(shop, "PATCH", "/subscriptions/1", #"{"enabled":true}"#)
            #expect(enabled.body.contains(#""enabled":true"#), "\(enabled)")
            let zone = try Self.call(
                shop, "POST", "/subscriptions",
                #"{"channel":"mail","target":"a@b","digest_at":"08:00","time_zone":"Europe/Nowhere"}"#)
            #expect(zone.status == 409 && zone.body.contains("unknown_time_zone"), "\(zone)")
        }
    }

    // MARK: alerts

    @Test("an item is snoozed and heard of again") func snooze() async throws {
        try await Self.withShop { (shop: Shop) throws in
            let path = "/items/\(Shop.product)/snooze"
            let key = #"{"store_id":"1003","item_id":"\#(Shop.product)","location_id":"main""#
            let until = key + #","until":"2099-01-01T00:00:00.000000Z"}"#
            #expect(try Self.call(shop, "PUT", path, #"{"until":"2099-01-01T00:00:00Z"}"#).body == until)
            #expect(try Self.call(shop, "GET", path).body == until)
            #expect(try Self.call(shop, "DELETE", path).body == key + "}")
            #expect(try Self.call(shop, "GET", path).body == key + "}")
            #expect(try Self.call(shop, "DELETE", "/items/none/snooze").status == 404)
        }
    }

    /// More items than one page has, of which the first is locked by another transaction.
    private static func withLockedItem(_ shop: Shop, _ body: (Connection) throws -> Void) throws {
        try shop.database.run(
            "INSERT INTO stockq.items (store_id, item_id, on_hand) SELECT '1003', 'i' || n, 3 FROM generate_series(1, 1500) AS n"
        )
        let holder = try shop.database.connect()
        try holder.executeScript(
            "BEGIN; SELECT FROM stockq.items WHERE item_id = '\(Shop.product)' FOR UPDATE")
        try body(holder)
    }

    /// Whether a statement of the gateway has waited for the lock for that long.
    private static func isWaiting(_ shop: Shop, milliseconds: Int) -> Bool {
        let waiting = try? shop.database.value(
            """
            SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%gateway_apply_threshold%'
                AND query_start < now() - interval '\(milliseconds) milliseconds'
            """)
        return waiting == "1"
    }

    private static func withThreshold(_ shop: Shop) -> String? {
        try? shop.database.value("SELECT count(*) FROM stockq.items WHERE low_stock_threshold = 5")
    }

    @Test("a policy whose threshold takes long to apply is answered with 202, and the gateway goes on")
    func late() async throws {
        try await Self.withShop(["--set", "deadline=100ms", "--workers", "0"]) { (shop: Shop) throws in
            try Self.withLockedItem(shop) { holder in
                let running = try shop.start(
                    Self.api + "/alert-policy", Self.arguments(shop, "PUT", #"{"default_threshold":5}"#))
                #expect(eventually { Self.isWaiting(shop, milliseconds: 150) })
                try holder.executeScript("ROLLBACK")
                let answer = try Shop.answer(try running.wait())
                #expect(answer.status == 202 && answer.body.contains(#""default_threshold":5"#), "\(answer)")
            }
            #expect(eventually { Self.withThreshold(shop) == "1502" })
        }
    }

    @Test("when a page of items fails, the answer says that the policy is set and to send it again")
    func failedPage() async throws {
        try await Self.withShop(["--workers", "0"]) { (shop: Shop) throws in
            try Self.withLockedItem(shop) { holder in
                let running = try shop.start(
                    Self.api + "/alert-policy", Self.arguments(shop, "PUT", #"{"default_threshold":5}"#))
                #expect(eventually { Self.isWaiting(shop, milliseconds: 0) })
                try shop.database.run("SELECT stockq.revoke_gateway_token('shop')")
                try holder.executeScript("ROLLBACK")
                let answer = try Shop.answer(try running.wait())
                #expect(answer.status == 503 && answer.body.contains("The policy is set"), "\(answer)")
            }
            #expect(Self.withThreshold(shop) == "1000")
            #expect(
                try shop.database.value("SELECT default_threshold FROM stockq.alert_policies WHERE store_id = '1003'")
                    == "5")
        }
    }

    @Test("a policy is removed, and with it the thresholds of its items") func removal() async throws {
        try await Self.withShop { (shop: Shop) throws in
            let body = #"{"default_threshold":5,"quiet_seconds":60,"rearm_margin":2}"#
            #expect(
                try Self.call(shop, "PUT", "/alert-policy", body).body == #"{"store_id":"1003","# + body.dropFirst())
            #expect(Self.withThreshold(shop) == "2")
            let none = #"{"store_id":"1003","quiet_seconds":0,"rearm_margin":0}"#
            #expect(try Self.call(shop, "DELETE", "/alert-policy").body == none)
            #expect(try Self.call(shop, "GET", "/alert-policy").body == none)
            #expect(Self.withThreshold(shop) == "0")
            let out = try Program(shop.database).run(["operations", "list"]).out
            #expect(out.contains("alerts set"), "\(out)")
        }
    }
}
