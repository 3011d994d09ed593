import Foundation
import TestSupport
import Testing

/// The conformance cases of Prosperna's call at a running gateway, by their numbers.
@Suite struct ProspernaCaseTests {
    private static let updated = #"{"data":null,"message":"Inventory successfully updated.","statusCode":200}"#
    private static let form = "Content-Type: application/x-www-form-urlencoded"
    private static let path = "/v1/products/stock-quantity"
    private static let product = "63e4f4fabf61b3a5047d9da4"
    private static let variant = "63e64f99ca104a61440fd50b"
    /// As axios sends the published snippet.
    private static let snippet =
        #"[{"product_id":"\#(product)","purchased_quantity":9},{"purchased_quantity":5,"#
        + #""product_variant_combination_id":"\#(variant)"}]"#

    private static func lines(_ lines: (String, String)...) -> String {
        "[" + lines.map { #"{"product_id":"\#($0)","purchased_quantity":\#($1)}"# }.joined(separator: ",") + "]"
    }

    private static func post(
        _ shop: VendorShop, _ body: String, _ query: String = "store_id=1003", fields: [String] = [form]
    ) -> String {
        VendorCase.request("POST", "\(path)?\(query)&token=\(shop.shop.token)", fields, body)
    }

    @Test("P1 to P3, P15 to P17: what clients send") func forms() async throws {
        try await withVendorShop { (shop: VendorShop) throws in
            let target = "\(Self.path)?store_id=1003&token=\(shop.shop.token)"
            func updated(_ number: String, _ request: String, fields: [String] = []) -> VendorCase {
                VendorCase(number, request, 200, Self.updated, fields: fields, change: -14)
            }
            let axios = [
                "Accept: application/json, text/plain, */*", Self.form, "User-Agent: axios/1.2.1",
                "Accept-Encoding: gzip, compress, deflate, br", "Connection: close",
            ]
            let multipart = "Content-Type: multipart/form-data; boundary=x"
            let allow = "Allow: OPTIONS, POST"
            let origin = "Origin: https://shop"
            try shop.check(
                [
                    updated("P1", Self.post(shop, Self.snippet, fields: axios)),
                    updated("P2 JSON", Self.post(shop, Self.snippet, fields: [VendorShop.json])),
                    updated(
                        "P2 fetch",
                        Self.post(shop, Self.snippet, fields: ["Content-Type: text/plain;charset=UTF-8"])),
                    updated("P2 none", Self.post(shop, Self.snippet, fields: [])),
                    updated("P2 chunked", VendorCase.chunked("POST", target, [], Self.snippet)),
                    VendorCase("P3", Self.post(shop, Self.snippet, fields: [multipart]), 415),
                    VendorCase("P15 GET", VendorCase.request("GET", target), 405, fields: [allow]),
                    VendorCase("P15 PUT", VendorCase.request("PUT", target, [], "[]"), 405, fields: [allow]),
                    updated(
                        "P16", Self.post(shop, Self.snippet, fields: [Self.form, origin]),
                        fields: ["Access-Control-Allow-Origin: *"]),
                    VendorCase("P17", Self.post(shop, "a=1&b=2"), 400),
                    updated(
                        "a URL without a scheme",
                        VendorCase.request("POST", "/api.prosperna.com\(target)", [Self.form], Self.snippet)),
                    updated(
                        "through a proxy",
                        VendorCase.request(
                            "POST", "http://api.prosperna.com\(target)", [Self.form], Self.snippet)),
                ], .prosperna)
        }
    }

    @Test("P4: calls without a token, by the store's setting") func tokens() async throws {
        try await withVendorShop { (shop: VendorShop) throws in
            let open = VendorCase.request("POST", "\(Self.path)?store_id=1003", [Self.form], Self.snippet)
            func with(_ token: String) -> String {
                VendorCase.request("POST", "\(Self.path)?store_id=1003&token=\(token)", [Self.form], Self.snippet)
            }
            let refused = "We couldn't authenticate you."
            let bearer = VendorCase.request(
                "POST", "\(Self.path)?store_id=1003", [Self.form, shop.bearer], Self.snippet)
            try shop.check(
                [
                    VendorCase("P4 none", open, 403, refused), VendorCase("P4 wrong", with("none"), 403, refused),
                    VendorCase("P4 blank", with(""), 403, refused),
                    VendorCase("P4 right", with(shop.shop.token), 200, Self.updated, change: -14),
                    VendorCase("P4 Bearer", bearer, 200, Self.updated, change: -14),
                ], .prosperna)
            let opened = try Program(shop.shop.database).run([
                "tokens", "create", "open", "--store", "1003", "--scope", "update_catalog", "--scope",
                "read_catalog", "--anonymous",
            ])
            #expect(opened.code == 0, "\(opened.err)")
            try shop.check(
                [
                    VendorCase("P4 open", open, 200, Self.updated, change: -14),
                    VendorCase("P4 open, wrong", with("none"), 403, refused),
                ], .prosperna)
        }
    }

    @Test("P5 to P8: stores, shapes and lines that are rejected") func faults() async throws {
        try await withVendorShop { (shop: VendorShop) throws in
            func wrong(_ number: String, _ body: String, _ part: String = "Nothing was applied") -> VendorCase {
                VendorCase("\(number) \(body.prefix(60))", Self.post(shop, body), 400, part)
            }
            let one = Self.lines((Self.product, "1"))
            var cases = [
                VendorCase("P5 missing", Self.post(shop, one, "a=b"), 400),
                VendorCase("P5 blank", Self.post(shop, one, "store_id=%20"), 400),
                VendorCase("P5 empty", Self.post(shop, one, "store_id="), 400),
                VendorCase("P5 twice", Self.post(shop, one, "store_id=1003&store_id=1003"), 400),
                VendorCase("P5 unknown", Self.post(shop, one, "store_id=9999"), 400, "no such store"),
            ]
            cases += ["[]", "{}", "null", #""a""#, #"{"product_id":"a","purchased_quantity":1}"#, "", "[1]", "[[]]"]
                .map { wrong("P6", $0) }
            let quantity = #""purchased_quantity":1"#
            let good = #"{"product_id":"\#(Self.product)",\#(quantity)}"#
            let badLines = [
                #"{"product_id":"a","product_variant_combination_id":"b",\#(quantity)}"#, "{\(quantity)}",
                #"{"product_id":" ",\#(quantity)}"#, #"{"product_id":7,\#(quantity)}"#,
            ]
            cases += badLines.map { wrong("P7", "[\(good),\($0)]", #""data":[{"line":2,"index":1,"#) }
            cases += ["null", #""9""#, "0", "-1", "9.5", "1e400", "true"].map {
                wrong("P8", Self.lines((Self.product, "1"), (Self.product, $0)), #""index":1,"#)
            }
            cases.append(wrong("P8", #"[{"product_id":"\#(Self.product)"}]"#, #""index":0,"#))
            try shop.check(cases, .prosperna)
        }
    }

    @Test("P10, P11, P18: all lines are applied or none") func group() async throws {
        try await withVendorShop { (shop: VendorShop) throws in
            func post(_ lines: (String, String)...) -> String {
                let body = lines.map { #"{"product_id":"\#($0)","purchased_quantity":\#($1)}"# }
                return Self.post(shop, "[" + body.joined(separator: ",") + "]")
            }
            let many = { (count: Int) in
                Self.post(
                    shop,
                    "["
                        + (0..<count).map { _ in #"{"product_id":"\#(Self.product)","purchased_quantity":1}"# }
                        .joined(separator: ",") + "]")
            }
            let large = Self.post(shop, "[" + String(repeating: " ", count: 1 << 20) + "]")
            try shop.check(
                [
                    VendorCase(
                        "P10", post((Self.product, "1"), ("none", "1"), (Self.variant, "1")), 400,
                        #""data":[{"line":2,"index":1,"code":"unknown_item","#),
                    VendorCase(
                        "P10 variant", Self.post(shop, Self.snippet.replacingOccurrences(of: Self.variant, with: "x")),
                        400, #""line":2"#),
                    VendorCase(
                        "P11", post(("39766764", "6"), ("39766764", "10")), 400, #""code":"insufficient_stock""#),
                    VendorCase("repeated ids add up", post(("39766764", "6"), ("39766764", "9")), 200, change: -15),
                    VendorCase("P18 500 lines", many(500), 200, Self.updated, change: -500),
                    VendorCase("P18 501 lines", many(501), 400),
                    VendorCase("P18 body", large, 413),
                ], .prosperna)
        }
    }

    @Test("P13: a call that is not decided in time is 408 in the envelope, and its group is canceled") func late()
        async throws
    {
        try await withVendorShop(["--deadline", "300ms"]) { (shop: VendorShop) throws in
            #expect(try Program(shop.shop.database).run(["pause", "--store", "1003"]).code == 0)
            try shop.check(
                [VendorCase("P13", Self.post(shop, Self.snippet), 408, "Nothing was applied")], .prosperna)
            #expect(
                try shop.shop.database.rows("SELECT outcome FROM stockq.results") == ["canceled", "canceled"])
        }
    }
}
