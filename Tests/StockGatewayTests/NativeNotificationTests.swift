import Foundation
import HTTPServer
import StockFormats
import StockGateway
import StockModel
import Testing

/// The operations of the native API that decide where and when notifications are sent.
@Suite("Native API: subscriptions and alerts") struct NativeNotificationTests {
    private static let token = "Authorization: Bearer t"

    private static func request(_ method: String, _ path: String, _ body: String? = nil) -> String {
        WireRequest(
            method, "/v1/stores/s/\(path)",
            [token] + (body == nil ? [] : ["Content-Type: application/json"]), body ?? ""
        ).bytes
    }

    private static func subject(_ method: String, _ path: String, _ body: String? = nil) throws -> NativeQuery.Subject {
        guard case .native(let query, _) = try TestGateway().plan(request(method, path, body)) else {
            throw TestError("no query")
        }
        #expect(query.access.scopes == [.manageNotifications])
        return query.subject
    }

    private static func added(_ body: String) throws -> SubscriptionRequest {
        guard case .subscriptions(.add(let request)) = try subject("POST", "subscriptions", body) else {
            throw TestError("no subscription: \(try TestGateway().answer(request("POST", "subscriptions", body)))")
        }
        return request
    }

    private static func answer(
        _ method: String, _ path: String, _ body: String? = nil, rows: NativeRows = NativeRows([])
    ) throws -> WireAnswer {
        var gateway = TestGateway()
        gateway.native = .success(rows)
        return try gateway.answer(request(method, path, body))
    }

    // MARK: policy and snooze

    @Test("a policy is replaced as a whole, and one that is not applied to all items yet is 202") func policy() throws {
        var policy = AlertPolicy()
        policy.defaultThreshold = 5
        policy.quietSeconds = 3600
        let body = #"{"default_threshold":5,"quiet_seconds":3600,"rearm_margin":null}"#
        #expect(try Self.subject("PUT", "alert-policy", body) == .alerts(.setPolicy(policy)))
        #expect(try Self.subject("PUT", "alert-policy", "{}") == .alerts(.setPolicy(AlertPolicy())))
        #expect(try Self.subject("DELETE", "alert-policy") == .alerts(.setPolicy(AlertPolicy())))
        #expect(try Self.subject("GET", "alert-policy") == .alerts(.policy))
        var rows = NativeRows([NativeRows.Row("{}")])
        #expect(try Self.answer("PUT", "alert-policy", body, rows: rows).status == 200)
        rows.isApplied = false
        #expect(try Self.answer("PUT", "alert-policy", body, rows: rows).status == 202)
        let failed = try Self.answer("PUT", "alert-policy", body, rows: NativeRows(.thresholdsNotApplied))
        #expect(failed.status == 503 && failed["Retry-After"] == "1" && failed.body.contains("The policy is set"))
        for wrong in [
            #"{"default_threshold":-1}"#, #"{"quiet_seconds":1.5}"#, #"{"quiet_seconds":31622401}"#,
            #"{"rearm_margin":"2"}"#, #"{"threshold":5}"#, "[]",
        ] {
            #expect(try Self.answer("PUT", "alert-policy", wrong).status == 400, "\(wrong)")
        }
    }

    @Test("an item is snoozed until a time") func snooze() throws {
        let until = Self.microseconds2026
        #expect(
            try Self.subject("PUT", "items/a%20b/snooze?location_id=l", #"{"until":"2026-01-01T00:00:00Z"}"#)
                == .alerts(.setSnooze(item: "a b", location: "l", until: until)))
        #expect(
            try Self.subject("DELETE", "items/a/snooze") == .alerts(.setSnooze(item: "a", location: "main", until: nil))
        )
        #expect(try Self.subject("GET", "items/a/snooze") == .alerts(.snooze(item: "a", location: "main")))
        #expect(try Self.answer("GET", "items/a/snooze").status == 404)
        for wrong in ["{}", #"{"until":null}"#, #"{"until":"+3d"}"#] {
            #expect(try Self.answer("PUT", "items/a/snooze", wrong).status == 400, "\(wrong)")
        }
    }

    /// 2026-01-01T00:00:00Z: 9,497 days after 2000-01-01.
    private static let microseconds2026: Int64 = 9_497 * 86_400 * 1_000_000

    // MARK: subscriptions

    @Test("a webhook has a URL, and gets the events of alerts unless it names others") func webhooks() throws {
        var expected = SubscriptionRequest(
            .webhook, target: "https://example.com/hook?k=1", events: SubscriptionEvent.alerts)
        #expect(try Self.added(#"{"channel":"webhook","target":"https://example.com/hook?k=1"}"#) == expected)
        expected.events = [.out, .changed]
        expected.itemPrefix = "shirt-"
        expected.locationPrefix = "main"
        #expect(
            try Self.added(
                """
                {"channel":"webhook","target":"https://example.com/hook?k=1","item_prefix":"shirt-",
                "location_prefix":"main","events":["stock.out","stock.changed","stock.out"]}
                """) == expected)
        for target in [
            "http://a", "https://a.example:8443/", "https://a?b", "http://192.0.2.1/x", "https://a/%20;(,)~'!*$&+=@",
        ] {
            #expect(try Self.added(#"{"channel":"webhook","target":"\#(target)"}"#).target == target)
        }
        for target in [
            "", "a", "ftp://a", "https://", "https:///x", "https://a b/", "https://user:pw@a/", "https://a/#b",
            "https://[::1]/", "https://ä.example/", "https://a/\\u212a", "https://\\u212a.example/", "HTTPS://a",
            "https://a/\\n", "https://a/\\r\\nHost: b", "https://a:123456/", "javascript:alert(1)",
            "file:///etc/passwd",
        ] {
            let answer = try Self.answer(
                "POST", "subscriptions", #"{"channel":"webhook","target":"\#(target)"}"#)
            #expect(answer.status == 400 && answer.body.contains("#/target"), "\(target): \(answer)")
        }
    }

    @Test("a mail is sent for the notifications of a span, or once a day") func mails() throws {
        var expected = SubscriptionRequest(.mail, target: "owner@example.com", events: SubscriptionEvent.alerts)
        expected.digestWindowSeconds = 300
        #expect(try Self.added(#"{"channel":"mail","target":"owner@example.com"}"#) == expected)
        expected.digestWindowSeconds = nil
        expected.digestAt = "08:00"
        expected.timeZone = "UTC"
        #expect(try Self.added(#"{"channel":"mail","target":"owner@example.com","digest_at":"08:00"}"#) == expected)
        for (more, status) in [
            (#","time_zone":"Europe/Berlin""#, 409), (#","digest_at":"08:00","digest_window_seconds":60"#, 409),
            (#","digest_at":"24:00""#, 400), (#","digest_at":"8:00""#, 400), (#","time_zone":"'; --""#, 400),
            (#","digest_window_seconds":59"#, 400), (#","events":["stock.changed"]"#, 400), (#","events":[]"#, 400),
            (#","events":"stock.low""#, 400), (#","events":["stock.test"]"#, 400),
        ] {
            let answer = try Self.answer(
                "POST", "subscriptions", #"{"channel":"mail","target":"owner@example.com"\#(more)}"#)
            #expect(answer.status == status, "\(more): \(answer)")
        }
        for target in [
            "a", "@a", "a@", "a@b@c", "a b@c", "-f@c", "a@b, c@d", "a@b\\nBcc: c@d", "<a@b>", "\\\"a\\\"@b", "ä@b",
            String(repeating: "a", count: 65) + "@b",
        ] {
            let answer = try Self.answer("POST", "subscriptions", #"{"channel":"mail","target":"\#(target)"}"#)
            #expect(answer.status == 400 && answer.body.contains("#/target"), "\(target): \(answer)")
        }
    }

    @Test("a program cannot be chosen, and neither can a name, a secret or a store")
    func onlyWebhooksAndMail() throws {
        for body in [
            #"{"channel":"command","target":"print-label"}"#, #"{"channel":"program","target":"print-label"}"#,
            #"{"target":"https://a"}"#, #"{"channel":null,"target":"https://a"}"#, #"{"channel":"webhook"}"#,
            #"{"channel":"webhook","target":"https://a","secret":"whsec_QUFB"}"#,
            #"{"channel":"webhook","target":"https://a","name":"x"}"#,
            #"{"channel":"webhook","target":"https://a","store_id":"t"}"#,
            #"{"channel":"webhook","target":"https://a","digest_at":"08:00"}"#, "[]", "null",
        ] {
            #expect(try Self.answer("POST", "subscriptions", body).status == 400, "\(body)")
        }
    }

    @Test("the answer to a new subscription has its path") func location() throws {
        var row = NativeRows.Row(#"{"subscription_id":7,"secret":"whsec_x"}"#)
        row.id = 7
        let body = #"{"channel":"webhook","target":"https://a"}"#
        let answer = try Self.answer("POST", "subscriptions", body, rows: NativeRows([row]))
        #expect(answer.status == 201 && answer["Location"] == "/v1/stores/s/subscriptions/7")
        #expect(answer.body == row.json)
    }

    @Test("a subscription is read, changed, tested and removed by its id") func one() throws {
        let cases: [(method: String, path: String, body: String?, SubscriptionSubject, status: Int)] = [
            ("GET", "subscriptions", nil, .list, 200), ("GET", "subscriptions/7", nil, .one(7), 200),
            ("PATCH", "subscriptions/7", #"{"enabled":false}"#, .setEnabled(7, false), 200),
            ("POST", "subscriptions/7/secret", nil, .rotateSecret(7), 200),
            ("POST", "subscriptions/7/test", nil, .test(7), 202),
            ("POST", "subscriptions/7/retry", nil, .retry(7, delivery: nil), 200),
            ("POST", "subscriptions/7/deliveries/8/retry", nil, .retry(7, delivery: 8), 200),
            ("DELETE", "subscriptions/7", nil, .remove(7), 204),
        ]
        for call in cases {
            #expect(try Self.subject(call.method, call.path, call.body) == .subscriptions(call.3), "\(call.path)")
            let rows = NativeRows([NativeRows.Row("{}")])
            let answer = try Self.answer(call.method, call.path, call.body, rows: rows)
            #expect(answer.status == call.status, "\(call.path): \(answer)")
            if call.path != "subscriptions" {
                let unknown = try Self.answer(
                    call.method, call.path, call.body, rows: NativeRows(.unknownSubscription))
                #expect(unknown.status == 404, "\(call.path): \(unknown)")
                for id in ["0", "-1", "x", "9223372036854775808"] {
                    let path = call.path.replacingOccurrences(of: "/7", with: "/\(id)")
                    #expect(try Self.answer(call.method, path, call.body, rows: rows).status == 404, "\(path)")
                }
            }
        }
        for wrong in ["{}", #"{"enabled":null}"#, #"{"enabled":1}"#, #"{"target":"https://b"}"#] {
            #expect(try Self.answer("PATCH", "subscriptions/7", wrong).status == 400, "\(wrong)")
        }
    }

    @Test("each failure has a status and a type") func failures() throws {
        for (failure, status, type) in [
            (.unknownSubscription, 404, "not_found"), (.subscriptionLimit, 409, "subscription_limit"),
            (.unknownTimeZone, 409, "unknown_time_zone"), (.testLimit, 429, "over_limit"),
        ] as [(NotificationFailure, Int, String)] {
            let answer = try Self.answer("POST", "subscriptions/7/test", rows: NativeRows(failure))
            #expect(answer.status == status && answer.body.contains("/v1/problems/\(type)"), "\(answer)")
            #expect((answer["Retry-After"] != nil) == (status == 429))
        }
    }

    @Test("a full page of deliveries has the path of older ones") func deliveries() throws {
        #expect(
            try Self.subject("GET", "subscriptions/7/deliveries")
                == .subscriptions(.deliveries(DeliveryFilter(of: 7, limit: 100))))
        let path = "subscriptions/7/deliveries?state=dead&before=90&limit=2"
        #expect(
            try Self.subject("GET", path)
                == .subscriptions(.deliveries(DeliveryFilter(of: 7, state: .dead, before: 90, limit: 2))))
        let rows = NativeRows(
            ([80, 70] as [Int64]).map { id in
                var row = NativeRows.Row("\(id)")
                row.id = id
                return row
            })
        #expect(
            try Self.answer("GET", path, rows: rows).body
                == #"{"deliveries":[80,70],"next":"/v1/stores/s/subscriptions/7/deliveries?state=dead&before=70&limit=2"}"#
        )
        let rest = try Self.answer("GET", "subscriptions/7/deliveries?limit=3", rows: rows)
        #expect(rest.body == #"{"deliveries":[80,70]}"#)
        for wrong in ["state=lost", "before=0", "before=x", "limit=0"] {
            #expect(try Self.answer("GET", "subscriptions/7/deliveries?\(wrong)").status == 400, "\(wrong)")
        }
    }
}
