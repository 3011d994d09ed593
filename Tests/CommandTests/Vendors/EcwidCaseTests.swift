import Foundation
import TestSupport
import Testing

/// The conformance cases of Ecwid's calls at a running gateway, by their numbers.
@Suite struct EcwidCaseTests {
    private static let json = VendorShop.json
    private static let applied = #"{"updateCount":1}"#
    private static let negative = #"{"updateCount":1,"warning":"Product has negative stock."}"#

    private static func put(
        _ shop: VendorShop, _ body: String, _ target: String = VendorShop.product, type: String? = json,
        more: [String] = []
    ) -> String {
        VendorCase.request("PUT", target, [shop.bearer] + (type.map { [$0] } ?? []) + more, body)
    }

    private static func delta(_ quantity: String) -> String { #"{"quantityDelta": \#(quantity)}"# }

    @Test("E1 to E10: deltas, warnings, and the flag") func deltas() async throws {
        try await withVendorShop { (shop: VendorShop) throws in
            func delta(_ quantity: String, _ target: String = VendorShop.product) -> String {
                Self.put(shop, Self.delta(quantity), target)
            }
            let seed = "{\n    \"quantityDelta\": -10\n}\n"
            let flag = "\(VendorShop.product)?checkLowStockNotification="
            let unlimited = "/api/v3/1003/products/unlimited/inventory"
            let wrongFlag =
                #"{"errorMessage":"Wrong parameter 'checkLowStockNotification' value: expected one of 'true', 'false', "#
                + #"'yes', 'no', 'on', 'off', '1', '0'","errorCode":"WRONG_PARAMETER"}"#
            var cases = [
                VendorCase("E1", Self.put(shop, seed, flag + "true"), 200, Self.applied, change: -10),
                VendorCase("E2", Self.put(shop, seed, VendorShop.variation), 200, Self.applied, change: -10),
                VendorCase("back to 15", delta("10"), 200, Self.applied, change: 10),
                VendorCase("E3", delta("-20"), 200, Self.negative, change: -20),
                VendorCase("E4", delta("-20", VendorShop.variation), 200, Self.negative, change: -20),
                VendorCase("E5 zero", delta("0"), 200, #"{"updateCount":0}"#),
                VendorCase("E5 unlimited", delta("-3", unlimited), 200, #"{"updateCount":0}"#),
                VendorCase("back to stock", delta("1000"), 200, Self.applied, change: 1_000),
                VendorCase(
                    "E10", delta("-1", "\(VendorShop.product)?limit=100"), 200, Self.applied, change: -1),
            ]
            for text in ["true", "false", "yes", "no", "on", "off", "1", "0"] {
                cases.append(VendorCase("E6 \(text)", delta("-1", flag + text), 200, Self.applied, change: -1))
            }
            for text in ["True", "YES", "FALSE"] {
                cases.append(VendorCase("E7 \(text)", delta("-1", flag + text), 200, Self.applied, change: -1))
            }
            for text in ["maybe", ""] {
                cases.append(VendorCase("E8 \(text)", delta("-1", flag + text), 400, wrongFlag))
            }
            try shop.check(cases, .ecwid)
            #expect(
                try shop.shop.database.rows("SELECT DISTINCT notify FROM stockq.results ORDER BY 1") == ["f", "t"],
                "E6: the flag reaches the job")
        }
    }

    @Test("E11 to E13: content types") func types() async throws {
        try await withVendorShop { (shop: VendorShop) throws in
            let good = [
                "application/json", "application/json;charset=utf-8", "application/json; charset=UTF-8",
                #"application/json;charset="utf-8""#, "text/json", "Application/JSON",
            ]
            let bad = [
                "application/x-www-form-urlencoded", "text/plain", "application/xml", "application/vnd.api+json",
            ]
            let unsupported = "Unsupported content-type: expected application/json or text/json"
            let body = Self.delta("1")
            try shop.check(
                good.map { type in
                    let request = Self.put(shop, body, type: "Content-Type: \(type)")
                    return VendorCase("E11 \(type)", request, 200, Self.applied, change: 1)
                }
                    + bad.map { type in
                        VendorCase(
                            "E12 \(type)", Self.put(shop, body, type: "Content-Type: \(type)"), 415, unsupported)
                    } + [VendorCase("E13", Self.put(shop, body, type: nil), 415, unsupported)], .ecwid)
        }
    }

    @Test("E15 to E21, E49: tokens and scopes") func tokens() async throws {
        try await withVendorShop { (shop: VendorShop) throws in
            let reader = try shop.token("reader", scopes: ["read_catalog"])
            let updater = try shop.token("updater", scopes: ["update_catalog"])
            let other = try shop.token("other", store: "1004", scopes: ["update_catalog", "read_catalog"])
            let expired = try shop.token("expired", scopes: ["update_catalog"], ["--expires", "1h"])
            try shop.shop.database.run(
                "UPDATE stockq.gateway_tokens SET expires_at = now() - interval '1 s' WHERE name = 'expired'")
            let body = Self.delta("1")
            let token = shop.shop.token
            func put(_ authorization: String?, _ query: String = "", _ target: String = VendorShop.product) -> String {
                let fields = (authorization.map { ["Authorization:\($0)"] } ?? []) + [Self.json]
                return VendorCase.request("PUT", target + query, fields, body)
            }
            func refused(_ number: String, _ request: String) -> VendorCase {
                VendorCase(number, request, 403, #""errorCode":"INVALID_API_TOKEN""#)
            }
            func accepted(_ number: String, _ request: String) -> VendorCase {
                VendorCase(number, request, 200, Self.applied, change: 1)
            }
            let scope = #""errorCode":"INSUFFICIENT_APP_SCOPE""#
            func profile(_ token: String) -> String {
                VendorCase.request("GET", "/api/v3/1003/profile?token=\(token)")
            }
            try shop.check(
                [
                    refused("E15", put(nil)), refused("E16 empty", put("")), refused("E16 scheme", put(" Bearer")),
                    refused("E16 blanks", put(" Bearer    ")), refused("E16 query", put(nil, "?token=")),
                    refused("E17 wrong", put(" Bearer secret_none")),
                    refused("E17 other store", put(" Bearer \(other)")),
                    refused("E17 expired", put(" Bearer \(expired)")),
                    VendorCase("E18 update", put(" Bearer \(reader)"), 403, scope),
                    VendorCase("E18 variation", put(" Bearer \(updater)", "", VendorShop.variation), 403, scope),
                    accepted("E18 product", put(" Bearer \(updater)")), accepted("E20", put(nil, "?token=\(token)")),
                    accepted("E20 with more", put(nil, "?token=\(token)&limit=100")),
                    accepted("E21", put(" Token token=\"\(token)\"", "?token=\(token)")),
                    accepted("0.3 colon", put(" Bearer: \(token)")), accepted("0.3 bare", put(" \(token)")),
                    accepted("0.3 case", put(" bearer \(token)")),
                    VendorCase("E49", profile(token), 200, #"{"generalInfo":{"storeId":1003}}"#),
                    refused("E49 bad", profile("secret_none")),
                ], .ecwid)
        }
    }

    @Test("E20, E21: the setting that refuses tokens in the query") func queryTokens() async throws {
        try await withVendorShop(["--no-query-tokens"]) { (shop: VendorShop) throws in
            let target = "\(VendorShop.product)?token=\(shop.shop.token)"
            let ruby = #"Authorization: Token token="\#(shop.shop.token)""#
            let invalid = #""errorCode":"INVALID_API_TOKEN""#
            try shop.check(
                [
                    VendorCase(
                        "E20", VendorCase.request("PUT", target, [Self.json], Self.delta("1")), 403, invalid),
                    VendorCase(
                        "E21", VendorCase.request("PUT", target, [ruby, Self.json], Self.delta("1")), 403, invalid),
                    VendorCase("bearer", Self.put(shop, Self.delta("1")), 200, Self.applied, change: 1),
                ], .ecwid)
        }
    }

    @Test("E23 to E30: what does not exist, and other methods") func unknown() async throws {
        try await withVendorShop { (shop: VendorShop) throws in
            func put(_ path: String) -> String { Self.put(shop, Self.delta("1"), "/api/v3/\(path)/inventory") }
            let combination = #""errorCode":"COMBINATION_NOT_FOUND""#
            let product = #""errorCode":"PRODUCT_NOT_FOUND""#
            var cases = [
                VendorCase("E23 product", put("1003/products/1"), 404, product),
                VendorCase("E23 variation", put("1003/products/39766764/combinations/1"), 404, combination),
                VendorCase("E23 store", put("9999/products/1"), 404, #""errorCode":"STORE_NOT_FOUND""#),
                VendorCase("E24", put("1003/products/39766764/combinations/48"), 404, combination),
                VendorCase("a variation is no product", put("1003/products/7084060"), 404, product),
                VendorCase("E25", put("1003/products/abc"), 404, product),
                VendorCase(
                    "no call", VendorCase.request("GET", "/api/v3/1003/orders", [shop.bearer]), 404, "errorCode"),
            ]
            for method in ["GET", "POST", "DELETE", "PATCH", "HEAD"] {
                let request = VendorCase.request(method, VendorShop.product, [shop.bearer, Self.json])
                let part = #""errorCode":"METHOD_NOT_ALLOWED""#
                cases.append(VendorCase("E30 \(method)", request, 405, part, fields: ["Allow: OPTIONS, PUT"]))
            }
            try shop.check(cases, .ecwid)
        }
    }

    @Test("E31 to E41: bodies and numbers") func bodies() async throws {
        try await withVendorShop { (shop: VendorShop) throws in
            func wrong(_ number: String, _ body: String, _ part: String = "errorMessage") -> VendorCase {
                let request = Self.put(shop, body)
                return VendorCase("\(number) \(body.prefix(60))", request, 400, #""WRONG_PARAMETER""#, part)
            }
            let malformed = [
                "{", #"{"quantityDelta":}"#, "{'quantityDelta':1}", "quantityDelta=-10", #"{"quantityDelta":1}x"#, "",
                "null", "[]", "5",
            ]
            let missing = ["{}", #"{"QuantityDelta":1}"#, #"{"quantityDelta":null}"#]
            let otherTypes = [#""5""#, "true", "[5]", "{}"]
            let tooLarge = [
                "9007199254740992", "9223372036854775808", "1e21", "1e400", "-1e400",
                String(repeating: "9", count: 10_000), "-9007199254740992", "1e999999999999",
            ]
            let noNumbers = ["NaN", "Infinity", "+5", "05", ".5", "5.", "0x5", "-", "1e", "--1"]
            var cases = malformed.map { wrong("E31", $0) } + missing.map { wrong("E33", $0, "Required parameter") }
            cases += otherTypes.map { wrong("E34", Self.delta($0)) }
            cases += ["5.5", "1e-1"].map { wrong("E36", Self.delta($0)) }
            cases += tooLarge.map { wrong("E38", Self.delta($0)) }
            cases += noNumbers.map { wrong("E39", Self.delta($0)) }
            cases.append(wrong("E40", #"{"quantityDelta":1,"quantityDelta":2}"#))
            let whole: [(String, Int64)] = [("5.0", 5), ("-10.0", -10), ("1e3", 1_000), ("1E+2", 100), ("50e-1", 5)]
            cases += whole.map { text, value in
                VendorCase("E35 \(text)", Self.put(shop, Self.delta(text)), 200, Self.applied, change: value)
            }
            cases.append(
                VendorCase(
                    "E35 -0", Self.put(shop, Self.delta("-0")), 200, #"{"updateCount":0}"#))
            let more = #"{"id":1,"quantityDelta":2,"a":{"b":[null]}}"#
            cases.append(VendorCase("E41", Self.put(shop, more), 200, Self.applied, change: 2))
            let head = [shop.bearer, Self.json]
            cases.append(
                VendorCase(
                    "chunked", VendorCase.chunked("PUT", VendorShop.product, head, Self.delta("2")), 200, Self.applied,
                    change: 2))
            try shop.check(cases, .ecwid)
        }
    }

    @Test("E45, E46: at the store's limit the answer is 429 with Retry-After") func limit() async throws {
        try await withVendorShop(["--workers", "0", "--deadline", "500ms"]) { (shop: VendorShop) throws in
            #expect(try Program(shop.shop.database).run(["limits", "set", "1003", "1"]).code == 0)
            try shop.shop.database.run(
                "INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('1003', '47', 1)")
            try shop.check(
                [
                    VendorCase(
                        "E45", Self.put(shop, Self.delta("1")), 429, #""errorCode":"RATE_LIMITED""#,
                        fields: ["Retry-After: 1\r\n"])
                ], .ecwid)
        }
    }

    @Test("E46: a request too many gets 429 with Retry-After, and nothing of it is applied") func fullGateway()
        async throws
    {
        let options = ["--workers", "0", "--deadline", "5s", "--set", "requestsMax=1"]
        try await withVendorShop(options) { (shop: VendorShop) throws in
            let clients = try (0..<2).map { _ in try shop.client() }
            for client in clients { client.send(Self.put(shop, Self.delta("1"))) }
            // No worker decides, so whichever came first is under way until its deadline.
            let answers = try clients.map { try $0.readAnswer() }.sorted { $0.status < $1.status }
            #expect(answers.map(\.status) == [408, 429])
            #expect(answers[0].body.contains(#""errorCode":"TIMEOUT""#), "\(answers[0])")
            #expect(answers[1].body.contains(#""errorCode":"RATE_LIMITED""#), "\(answers[1])")
            #expect(answers[1].head.contains("\r\nRetry-After: 1\r\n"), "\(answers[1])")
            #expect(try shop.shop.onHand() == "15")
            #expect(try shop.shop.database.value("SELECT count(*) FROM stockq.jobs") == "0")
        }
    }

    @Test("E48, E50: 100 deltas on one connection, and 100 on as many, are all applied") func connections() async throws
    {
        try await withVendorShop { (shop: VendorShop) throws in
            let request = Self.put(shop, Self.delta("1"))
            let one = try shop.client()
            // Pipelined.
            one.send(String(repeating: request, count: 100))
            for _ in 0..<100 {
                let answer = try one.readAnswer()
                #expect(answer.status == 200 && answer.body.contains(/"updateCount":[01]}/), "E48: \(answer)")
            }
            let many = try (0..<100).map { _ in try shop.client() }
            for client in many { client.send(request) }
            for client in many { #expect(try client.readAnswer().body == Self.applied) }
            #expect(try shop.shop.onHand() == "215")
        }
    }
}
