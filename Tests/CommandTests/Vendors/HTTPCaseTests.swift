import Foundation
import StockQueuePostgres
import TestSupport
import Testing

/// The conformance cases of HTTP at a running gateway, by their numbers, with raw bytes.
@Suite struct HTTPCaseTests {
    private static let applied = #"{"updateCount":1}"#
    private static let body = #"{"quantityDelta":1}"#

    private static func put(_ shop: VendorShop, _ fields: [String] = []) -> String {
        VendorCase.request("PUT", VendorShop.product, [shop.bearer, VendorShop.json] + fields, body)
    }

    /// A head with fields that differ from those of a right request.
    private static func head(_ shop: VendorShop, _ fields: [String], host: String? = "Host: x") -> String {
        let lines = ["PUT \(VendorShop.product) HTTP/1.1", host, shop.bearer, VendorShop.json].compactMap { $0 }
        return (lines + fields).joined(separator: "\r\n") + "\r\n\r\n"
    }

    @Test("H3 to H12, H17, H18, H24: requests that are rejected, and forms that are not") func rejections() async throws
    {
        try await withVendorShop { (shop: VendorShop) throws in
            let length = "Content-Length: \(Self.body.utf8.count)"
            let chunks = "13\r\n\(Self.body)\r\n0\r\n\r\n"
            func raw(_ number: String, _ fields: [String], _ body: String, _ status: Int, host: String? = "Host: x")
                -> VendorCase
            {
                VendorCase(number, Self.head(shop, fields, host: host) + body, status)
            }
            var cases = [
                raw("H3 no Host", [length], Self.body, 400, host: nil),
                raw("H3 two", ["Host: y", length], Self.body, 400),
                raw("H6 both", [length, "Transfer-Encoding: chunked"], chunks, 400),
                raw("H6 twice", ["Transfer-Encoding: chunked, chunked"], chunks, 400),
                raw("H6 lengths", [length, length], Self.body, 400),
                raw("H6 gzip", ["Transfer-Encoding: gzip, chunked"], chunks, 501),
                raw("H6 sign", ["Content-Length: +19"], Self.body, 400),
                raw("H10", [length, "Content-Encoding: gzip"], Self.body, 415),
                raw("H11 length", ["Content-Length: 99999999"], "", 413),
                raw(
                    "H11 chunks", ["Transfer-Encoding: chunked"], "fffffff\r\n" + String(repeating: " ", count: 70_000),
                    413),
                raw("H12 header", ["X: " + String(repeating: "a", count: 65_536), length], Self.body, 431),
                raw("H12 headers", (0..<200).map { "X\($0): a" } + [length], Self.body, 431),
                VendorCase("H12 line", "PUT /api/v3/" + String(repeating: "a", count: 16_384) + " HTTP/1.1\r\n", 414),
            ]
            for method in ["FOO", "put", "TRACE"] {
                let status = method == "TRACE" ? 405 : 501
                cases.append(
                    VendorCase("H18 \(method)", VendorCase.request(method, VendorShop.product, [shop.bearer]), status))
            }
            cases.append(VendorCase("H24", Self.put(shop, ["Accept: text/html"]), 200, Self.applied, change: 1))
            try shop.check(cases, .ecwid)
            try shop.check(
                [
                    VendorCase(
                        "H17", VendorCase.request("GET", "/none"), 404, #"{"errors":[{"status":404,"title":"Not Found""#
                    ),
                    VendorCase(
                        "H18 CONNECT", "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n", 501),
                    VendorCase("H15 server", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 204, fields: ["Allow: "]),
                    VendorCase(
                        "H15 path", VendorCase.request("OPTIONS", VendorShop.product), 204,
                        fields: ["Allow: OPTIONS, PUT"]),
                ], .plain)
            // H6: what follows on the connection is not read as a request.
            let client = try shop.client()
            client.send(Self.head(shop, [length, "Transfer-Encoding: chunked"]) + "0\r\n\r\n" + Self.put(shop))
            let all = try client.readAll()
            #expect(all.components(separatedBy: "HTTP/1.1 ").count == 2 && all.contains("Connection: close"))
            #expect(try shop.shop.onHand() == "16")
        }
    }

    @Test("H8: a rejection that the head decides comes without 100 Continue; else the body is asked for")
    func expectation() async throws {
        try await withVendorShop { (shop: VendorShop) throws in
            let expects = ["Expect: 100-continue", "Content-Length: \(Self.body.utf8.count)"]
            let client = try shop.client()
            client.send(Self.head(shop, expects))
            #expect(try client.readAnswer(hasBody: false).status == 100)
            client.send(Self.body)
            let answer = try client.readAnswer()
            #expect(answer.status == 200 && answer.body == Self.applied, "\(answer)")
            let refused = try shop.client()
            refused.send(
                Self.head(shop, expects).replacingOccurrences(of: "application/json", with: "text/plain"))
            #expect(try refused.readAnswer().status == 415)
        }
    }

    @Test("H1, H20, H21, H23: connections are kept, answers stay uncompressed and say how long the server waits")
    func connections() async throws {
        try await withVendorShop(["--set", "idleTimeout=1s"]) { (shop: VendorShop) throws in
            let client = try shop.client()
            client.send(Self.put(shop, ["Accept-Encoding: gzip, deflate, br"]) + Self.put(shop))
            for _ in 0..<2 {
                let answer = try client.readAnswer()
                #expect(
                    answer.status == 200 && answer.body == Self.applied && answer.head.contains("Keep-Alive: timeout=1")
                )
                #expect(!answer.head.contains("Content-Encoding"))
            }
            // The server waits longer than it says: a request that comes at the last moment is answered.
            pause(milliseconds: 1_500)
            client.send(Self.put(shop))
            #expect(try client.readAnswer().status == 200, "H21")
            client.send(Self.put(shop, ["Connection: close"]))
            let last = try client.readAll()
            #expect(last.hasPrefix("HTTP/1.1 200 ") && last.contains("Connection: close"), "H20")
            #expect(try shop.shop.onHand() == "19")
        }
    }

    @Test("H13: a head that comes a byte at a time, and a body that does not come, are answered with 408")
    func slow() async throws {
        try await withVendorShop(["--set", "headTimeout=300ms", "--set", "bodyTimeout=300ms"]) {
            (shop: VendorShop) throws in
            let head = try shop.client()
            head.send("PUT /api/v3")
            #expect(try head.readAll().hasPrefix("HTTP/1.1 408 "))
            let body = try shop.client()
            body.send(Self.head(shop, ["Content-Length: 19"]) + "{")
            let answer = try body.readAll()
            #expect(answer.hasPrefix("HTTP/1.1 408 ") && answer.contains("Connection: close"))
            #expect(try shop.shop.onHand() == "15")
        }
    }

    @Test("H16: a preflight of the JS SDK is answered with what it asks for") func preflight() async throws {
        try await withVendorShop { (shop: VendorShop) throws in
            let asked =
                "authorization,content-type,x-moltin-application,x-moltin-sdk-language,x-moltin-sdk-version"
            for path in ["/oauth/access_token", "/v2/inventories/\(VendorShop.stockID)/transactions"] {
                let answer = try shop.answer(
                    VendorCase.request(
                        "OPTIONS", path,
                        [
                            "Origin: https://shop.example", "Access-Control-Request-Method: POST",
                            "Access-Control-Request-Headers: \(asked)",
                        ]))
                #expect(answer.status == 204)
                for field in [
                    "Access-Control-Allow-Origin: *", "Access-Control-Allow-Headers: \(asked)",
                    "Access-Control-Max-Age: ", "Vary: Origin",
                ] { #expect(answer.head.contains("\r\n\(field)"), "\(field): \(answer)") }
                #expect(answer.head.contains(/Access-Control-Allow-Methods: .*POST/), "\(answer)")
            }
            // A page must be able to read an error, too.
            let refused = try shop.answer(
                VendorCase.request("POST", "/v2/orders", ["Origin: https://shop.example"], "{}"))
            #expect(refused.head.contains("Access-Control-Allow-Origin: *"))
        }
    }

    @Test("H22: the call of a client that leaves after the body is applied once or not at all; before, it is not")
    func departures() async throws {
        try await withVendorShop { (shop: VendorShop) throws in
            for _ in 0..<20 {
                let client = try shop.client()
                client.send(Self.put(shop))
                client.reset()
            }
            for _ in 0..<5 {
                let client = try shop.client()
                client.send(Self.head(shop, ["Content-Length: 19"]) + "{\"quantity")
                client.reset()
            }
            #expect(try shop.answer(Self.put(shop)).status == 200)
            let database = shop.shop.database
            #expect(try eventually { try database.value("SELECT count(*) FROM stockq.jobs") == "0" })
            let applied = try database.value("SELECT count(*) FROM stockq.results WHERE outcome = 'applied'")
            #expect(try shop.shop.onHand() == "\(15 + (Int(applied) ?? 0))")
            let all = try database.value("SELECT count(*) FROM stockq.results")
            #expect((Int(all) ?? 99) <= 21, "five bodies were not complete")
        }
    }

    @Test("H28: a stop answers the requests under way and accepts no new ones") func shutdown() async throws {
        try await withDatabase { (database: TestDatabase) throws in
            let shop = try VendorShop(database)
            let clients = try (0..<50).map { _ in try shop.client() }
            for client in clients { client.send(Self.put(shop)) }
            shop.shop.gateway.send(SIGTERM)
            var applied = 0
            for client in clients {
                let answer = try client.readAnswer()
                #expect([200, 408, 429].contains(answer.status), "\(answer)")
                if answer.status == 200 { applied += 1 }
            }
            #expect(try shop.shop.gateway.wait().code == 0)
            #expect(try shop.shop.onHand() == "\(15 + applied)")
            #expect(throws: RawClient.Failure.self) { try shop.client() }
        }
    }

    @Test("behind a trusted proxy the address that it names is the client's, else the field is ignored")
    func forwarded() async throws {
        for (arguments, isSlow) in [([], true), (["--set", "proxies=1"], false)] {
            try await withVendorShop(arguments) { (shop: VendorShop) throws in
                let began = ContinuousClock.now
                for number in 0..<15 {
                    let answer = try shop.answer(
                        VendorCase.request(
                            "PUT", VendorShop.product,
                            [
                                "Authorization: Bearer secret_none", VendorShop.json,
                                // What a client wrote comes first.
                                "X-Forwarded-For: 192.0.2.1, 198.51.100.\(number)",
                            ], Self.body))
                    #expect(answer.status == 403)
                }
                // 0.1 + 0.2 + … + 1.0 s for one address, nothing for 15.
                let isHeldBack = began.duration(to: .now) > .milliseconds(5_000)
                #expect(isHeldBack == isSlow)
            }
        }
    }
}
