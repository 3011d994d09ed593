import Foundation
import TestSupport
import Testing

/// The conformance cases of Elastic Path's calls at a running gateway, by their numbers.
@Suite struct ElasticPathCaseTests {
    private static let stock = "/v2/inventories/\(VendorShop.stockID)"
    private static let target = "\(stock)/transactions"
    private static let json = VendorShop.json
    private static let form = "Content-Type: application/x-www-form-urlencoded"

    private static func transaction(_ action: String, _ quantity: String) -> String {
        #"{"data":{"type":"stock-transaction","action":"\#(action)","quantity":\#(quantity)}}"#
    }

    private static func post(
        _ shop: VendorShop, _ body: String, _ path: String = target, type: String? = json, more: [String] = []
    ) -> String {
        VendorCase.request("POST", path, [shop.bearer] + (type.map { [$0] } ?? []) + more, body)
    }

    /// The client's id and secret.
    private static func client(_ shop: VendorShop) throws -> (id: String, secret: String) {
        let created = try Program(shop.shop.database).run([
            "clients", "create", "warehouse", "--store", "1003", "--scope", "update_catalog", "--scope", "read_catalog",
            "--json",
        ])
        return (
            try ServeCommandTests.Shop.member("client_id", of: created),
            try ServeCommandTests.Shop.member("client_secret", of: created)
        )
    }

    private static func members(_ answer: RawClient.Answer) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(answer.body.utf8)) as? [String: Any], "\(answer)")
    }

    @Test("M1 to M8, M14, M15: tokens of clients") func tokens() async throws {
        try await withVendorShop { (shop: VendorShop) throws in
            let (id, secret) = try Self.client(shop)
            func token(_ body: String, _ type: String? = Self.form, path: String = "/oauth/access_token") -> String {
                VendorCase.request("POST", path, type.map { [$0] } ?? [], body)
            }
            let good = "grant_type=client_credentials&client_id=\(id)&client_secret=\(secret)"
            let whole = #""token_type":"Bearer""#
            let unauthorized = #"{"errors":[{"status":401,"title":"Unauthorized"}]}"#
            try shop.check(
                [
                    VendorCase("M1", token(good), 200, whole, #""identifier":"client_credentials""#),
                    VendorCase(
                        "M1 gomo",
                        token("client_id=\(id)&client_secret=\(secret)&grant_type=client_credentials"), 200, whole),
                    VendorCase(
                        "M2", token("grant_type=implicit&client_id=\(id)"), 200, #""identifier":"implicit""#),
                    VendorCase("M3 JSON", token(good, "Content-Type: application/json"), 200, whole),
                    VendorCase("M3 charset", token(good, "\(Self.form);charset=utf-8"), 200, whole),
                    VendorCase("M3 none", token(good, nil), 200, whole),
                    VendorCase("the other path", token(good, path: "/oauth/token"), 200, whole),
                    VendorCase("M5 secret", token(good + "x"), 401, unauthorized),
                    VendorCase(
                        "M5 client", token("grant_type=client_credentials&client_id=x&client_secret=x"), 401,
                        unauthorized),
                    VendorCase("M6 none", token("client_id=\(id)&client_secret=\(secret)"), 400),
                    VendorCase("M6 password", token("grant_type=password&client_id=\(id)"), 400),
                    VendorCase("M6 client", token("grant_type=client_credentials&client_secret=x"), 400),
                    VendorCase(
                        "M8", VendorCase.request("GET", "/oauth/access_token"), 405, fields: ["Allow: OPTIONS, POST"]),
                ], .elasticPath)

            let members = try Self.members(try shop.answer(token(good)))
            #expect(members["expires_in"] as? Int == 3_600 && members["expires"] is Int, "M1: \(members)")
            let issued = try #require(members["access_token"] as? String)
            let implicit = try Self.members(try shop.answer(token("grant_type=implicit&client_id=\(id)")))
            let reading = try #require(implicit["access_token"] as? String)
            func post(_ token: String) -> String {
                VendorCase.request(
                    "POST", Self.target, ["Authorization: Bearer \(token)", Self.json],
                    Self.transaction("increment", "1"))
            }
            let read = VendorCase.request("GET", Self.stock, ["Authorization: Bearer \(reading)"])
            let forbidden = #"{"errors":[{"status":403,"title":"Forbidden"}]}"#
            try shop.check(
                [
                    VendorCase("M10 issued", post(issued), 200, change: 1),
                    VendorCase("M15", post(reading), 403, forbidden), VendorCase("M15 read", read, 200),
                ], .elasticPath)
            // M14: the client authenticates again, and the earlier call was not applied.
            try shop.shop.database.run(
                "UPDATE stockq.gateway_tokens SET expires_at = now() WHERE client_id IS NOT NULL")
            try shop.check(
                [VendorCase("M14 expired", post(issued), 401, "Unable to validate access token")], .elasticPath)
            let again = try #require(try Self.members(try shop.answer(token(good)))["access_token"] as? String)
            try shop.check([VendorCase("M14 again", post(again), 200, change: 1)], .elasticPath)
        }
    }

    @Test("M10 to M13, M16: the four actions, stock that does not suffice, and tokens") func actions() async throws {
        try await withVendorShop { (shop: VendorShop) throws in
            func call(_ action: String, _ quantity: String, _ path: String = Self.target) -> String {
                Self.post(shop, Self.transaction(action, quantity), path)
            }
            func with(_ authorization: String?) -> String {
                let fields = (authorization.map { ["Authorization:\($0)"] } ?? []) + [Self.json]
                return VendorCase.request("POST", Self.target, fields, Self.transaction("increment", "1"))
            }
            let tooLittle =
                #"{"errors":[{"status":422,"title":"Cannot complete request","#
                + #""detail":"Your request could not be completed due to insufficient stock levels"}]}"#
            let notFound =
                #"{"errors":[{"title":"Not Found","status":404,"detail":"The resource could not be found"}]}"#
            let invalid = #"{"errors":[{"status":401,"title":"Unable to validate access token"}]}"#
            let challenge = "WWW-Authenticate: Bearer"
            let token = shop.shop.token
            try shop.check(
                [
                    VendorCase("M10 increment", call("increment", "10"), 200, #""action":"increment""#, change: 10),
                    VendorCase("M10 decrement", call("decrement", "10"), 200, #""quantity":10,"#, change: -10),
                    VendorCase("M10 allocate", call("allocate", "10"), 200, allocated: 10),
                    VendorCase("M11 decrement", call("decrement", "991"), 422, tooLittle),
                    VendorCase("M11 allocate", call("allocate", "991"), 422, tooLittle),
                    VendorCase("M11 deallocate", call("deallocate", "11"), 422, tooLittle),
                    VendorCase("M10 deallocate", call("deallocate", "10"), 200, allocated: -10),
                    VendorCase("M12 unknown", call("increment", "1", "/v2/inventories/x/transactions"), 404, notFound),
                    VendorCase(
                        "M12 unmanaged", call("increment", "1", "/v2/inventories/unlimited/transactions"), 404,
                        notFound),
                    VendorCase("M13 none", with(nil), 401, invalid, fields: [challenge]),
                    VendorCase("M13 blank", with("   "), 401, invalid, fields: [challenge]),
                    VendorCase("M13 wrong", with(" Bearer x"), 401, invalid, fields: [challenge]),
                    VendorCase("M16 colon", with(" Bearer: \(token)"), 200, change: 1),
                    VendorCase("M16 bare", with(" \(token)"), 200, change: 1),
                    VendorCase("M16 case", with(" bearer \(token)"), 200, change: 1),
                ], .elasticPath)
            let answer = try shop.answer(call("increment", "2"))
            let form =
                /{"data":{"id":"[0-9a-f-]{36}","type":"stock-transaction","action":"increment","product_id":"[0-9a-f-]{36}","quantity":2,"timestamps":{"created_at":"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+0000 UTC"}}}/
            #expect(answer.body.wholeMatch(of: form) != nil, "M10: \(answer)")
        }
    }

    @Test("M19 to M22, M33: bodies that are rejected") func bodies() async throws {
        try await withVendorShop { (shop: VendorShop) throws in
            func wrong(_ number: String, _ body: String) -> VendorCase {
                VendorCase("\(number) \(body.prefix(60))", Self.post(shop, body), 400)
            }
            let transaction = Self.transaction
            var cases = ["set", "Increment", ""].map { wrong("M19", transaction($0, "1")) }
            cases += [
                #"{"data":{"action":"increment","quantity":1}}"#,
                #"{"data":{"type":"stock","action":"increment","quantity":1}}"#,
                #"{"data":{"type":"stock-transaction","quantity":1}}"#,
            ].map { wrong("M19", $0) }
            cases += [#""5""#, "5.5", "0", "-1", "null", "1e400", "9007199254740992"].map {
                wrong("M20", transaction("increment", $0))
            }
            cases.append(wrong("M20", #"{"data":{"type":"stock-transaction","action":"increment"}}"#))
            cases += ["{}", #"{"data":[]}"#, #"{"data":null}"#, "", "null", "{", "[]"].map { wrong("M21", $0) }
            cases += [
                #"{"data":{},"data":{"type":"stock-transaction","action":"increment","quantity":1}}"#,
                #"{"data":{"type":"stock-transaction","action":"increment","quantity":1,"quantity":1}}"#,
            ].map { wrong("M33", $0) }
            for (text, value) in [("5.0", 5), ("1e1", 10)] as [(String, Int64)] {
                cases.append(
                    VendorCase("M20 \(text)", Self.post(shop, transaction("increment", text)), 200, change: value))
            }
            let one = transaction("increment", "1")
            cases += [
                VendorCase("M22 form", Self.post(shop, one, type: Self.form), 415),
                VendorCase("M22 text", Self.post(shop, one, type: "Content-Type: text/plain"), 415),
                VendorCase("M22 none", Self.post(shop, one, type: nil), 200, change: 1),
            ]
            try shop.check(cases, .elasticPath)
        }
    }

    @Test("M24 to M26: stock, its history, other methods and unknown paths") func around() async throws {
        try await withVendorShop { (shop: VendorShop) throws in
            func get(_ path: String) -> String { VendorCase.request("GET", path, [shop.bearer]) }
            let made = try Self.members(try shop.answer(Self.post(shop, Self.transaction("decrement", "7"))))
            let id = try #require((made["data"] as? [String: Any])?["id"] as? String)
            let level =
                #"{"data":{"id":"\#(VendorShop.stockID)","type":"stock","total":993,"available":993,"allocated":0"#
            let multiple = #"{"data":[{"id":"\#(VendorShop.stockID)"},{"id":"none"}]}"#
            let new = "/v2/inventories/new"
            var cases = [
                VendorCase("M24 history", get(Self.target), 200, #""action":"create""#, #""id":"\#(id)""#),
                VendorCase("M24 one", get("\(Self.target)/\(id)"), 200, #""action":"decrement""#),
                VendorCase("M24 none", get("\(Self.target)/\(VendorShop.stockID)"), 404),
                VendorCase("M24 stock", get(Self.stock), 200, level),
                VendorCase("M24 no stock", get("/v2/inventories/none"), 404),
                VendorCase("M24 all", get("/v2/inventories?page[limit]=2&page[offset]=0"), 200, #""meta""#),
                VendorCase(
                    "M24 multiple", Self.post(shop, multiple, "/v2/inventories/multiple"), 200, #""total":993"#),
                VendorCase(
                    "M24 creation", Self.post(shop, #"{"data":{"quantity":20}}"#, new), 201, #""total":20"#, change: 20),
                VendorCase("M24 again", Self.post(shop, #"{"data":{"quantity":20}}"#, new), 400),
                VendorCase("M24 removal", VendorCase.request("DELETE", new, [shop.bearer]), 204, change: -20),
                VendorCase("M24 removed", get(new), 404),
                VendorCase("M26 path", get("/v2/orders"), 404), VendorCase("M26 pcm", get("/pcm/products"), 404),
                VendorCase("M26 list", Self.post(shop, "{}", "/v2/inventories"), 405),
                VendorCase("gomo's slash", Self.post(shop, "{", "/v2/\(Self.target.dropFirst(3))"), 400),
            ]
            for method in ["PUT", "PATCH", "DELETE"] {
                let request = VendorCase.request(method, Self.target, [shop.bearer, Self.json], "{}")
                cases.append(
                    VendorCase("M25 \(method)", request, 405, fields: ["Allow: GET, HEAD, OPTIONS, POST"]))
            }
            try shop.check(cases, .elasticPath)
        }
    }

    @Test("M26: an answer from every layer has errors with an integer status") func layers() async throws {
        try await withVendorShop { (shop: VendorShop) throws in
            let long = String(repeating: "a", count: 70_000)
            let head = "POST \(Self.target) HTTP/1.1\r\nHost: x\r\n\(shop.bearer)\r\n\(Self.json)\r\n"
            let body = Self.transaction("increment", "1")
            let raw: [(String, Int)] = [
                (head + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
                ("POST \(Self.target) HTTP/1.1\r\n\r\n", 400),
                ("GET /v2/inventories/%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400),
                (head + "Content-Length: 99999999\r\n\r\n", 413), ("GET /v2/\(long) HTTP/1.1\r\n", 414),
                (head + "Content-Encoding: gzip\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)", 415),
                (head + "Expect: more\r\nContent-Length: 1\r\n\r\n1", 417), (head + "X: \(long)\r\n\r\n", 431),
                ("FOO \(Self.target) HTTP/1.1\r\nHost: x\r\n\r\n", 501),
                (head + "Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
                ("GET \(Self.target) HTTP/3.0\r\nHost: x\r\n\r\n", 505),
            ]
            try shop.check(raw.map { VendorCase("M26 \($1)", $0, $1) }, .elasticPath)
        }
    }

    @Test("M27: at the store's limit the answer is 429 with errors") func limit() async throws {
        try await withVendorShop(["--workers", "0", "--deadline", "500ms"]) { (shop: VendorShop) throws in
            #expect(try Program(shop.shop.database).run(["limits", "set", "1003", "1"]).code == 0)
            try shop.shop.database.run("INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('1003', '47', 1)")
            let request = Self.post(shop, Self.transaction("increment", "1"))
            try shop.check([VendorCase("M27", request, 429, fields: ["Retry-After: 1\r\n"])], .elasticPath)
        }
    }

    @Test("M28, M30, M32: several locations, the SDKs' fields, and idempotency keys") func fields() async throws {
        try await withVendorShop { (shop: VendorShop) throws in
            let multi = "EP-Inventories-Multi-Location: true"
            func located(_ attributes: String, type: String = #""type":"stock-transaction","#) -> String {
                Self.post(shop, #"{"data":{\#(type)"attributes":{\#(attributes)}}}"#, more: [multi])
            }
            let inner = #""type":"stock-transaction","action":"decrement","quantity":4,"product_id":"x""#
            try shop.check(
                [
                    VendorCase(
                        "M28", located(#""action":"increment","quantity":3"#), 201,
                        #""attributes":{"action":"increment""#,
                        change: 3),
                    VendorCase("M28 the other SDK", located(inner, type: ""), 201, change: -4),
                    VendorCase("M28 set", located(#""action":"set","quantity":1000"#), 201, change: 1),
                    VendorCase("M28 unknown place", located(#""action":"set","quantity":1,"location":"moon""#), 404),
                    VendorCase(
                        "M28 basic body", Self.post(shop, Self.transaction("increment", "1"), more: [multi]), 400),
                ], .multiLocation)
            let sdk = [
                "X-MOLTIN-SDK-LANGUAGE: JS", "X-MOLTIN-SDK-VERSION: 27.8.0", "X-MOLTIN-APPLICATION: epcc sdk",
                "X-MOLTIN-AUTH-STORE: other", "X-MOLTIN-CURRENCY: EUR", "X-MOLTIN-LANGUAGE: xx",
                "X-MOLTIN-CUSTOMER-TOKEN: y", "EP-Beta-Features: z", "EP-Account-Management-Authentication-Token: t",
                "sec-fetch-mode: cors", "accept-encoding: gzip, deflate",
            ]
            let body =
                "{\n        \"data\": {\"action\":\"increment\",\"quantity\":10,\"type\":\"stock-transaction\"}\n      }"
            let gomo =
                #"{"data":{"type":"stock-transaction","action":"increment","product_id":"","quantity":10}}"# + "\n"
            try shop.check(
                [
                    VendorCase("M30", Self.post(shop, body, more: sdk), 200, change: 10),
                    VendorCase(
                        "gomo", Self.post(shop, gomo, "/v2/" + Self.target.dropFirst(3)), 200, change: 10),
                ], .elasticPath)
            let keyed = Self.post(shop, Self.transaction("increment", "5"), more: ["Idempotency-Key: k"])
            let first = try shop.answer(keyed)
            #expect(first.status == 200)
            try shop.check(
                [
                    VendorCase("M32", keyed, 200, first.body),
                    VendorCase(
                        "M32 another request",
                        Self.post(shop, Self.transaction("increment", "6"), more: ["Idempotency-Key: k"]), 409),
                ], .elasticPath)
        }
    }
}
