import StockFormats
import StockGateway
import StockModel
import Testing

/// Bodies that no case thought of: valid ones with bytes changed, removed, repeated and exchanged.
@Suite struct MutationTests {
    /// SplitMix64: the same bodies in every run.
    private struct Generator: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var bits = (state ^ state >> 30) &* 0xBF58_476D_1CE4_E5B9
            bits = (bits ^ bits >> 27) &* 0x94D0_49BB_1331_11EB
            return bits ^ bits >> 31
        }
    }

    private static let fields = ["Authorization: Bearer t", "Content-Type: application/json"]

    /// Each with what every error of its vendor begins with.
    private static let requests: [(request: WireRequest, errorStart: String)] = [
        (
            WireRequest("PUT", "/api/v3/1/products/2/inventory", fields, #"{"quantityDelta": -10.0e1}"#),
            #"{"errorMessage":""#
        ),
        (
            WireRequest("POST", "/api/v3/1/batch", fields, #"[{"id":"a","path":"p","method":"PUT","body":"{}"}]"#),
            #"{"errorMessage":""#
        ),
        (
            WireRequest(
                "POST", "/v1/products/stock-quantity?store_id=1", fields,
                #"[{"product_id":"a","purchased_quantity":9},{"purchased_quantity":5,"product_variant_combination_id":"b"}]"#
            ),
            #"{"data":"#
        ),
        (
            WireRequest(
                "POST", "/v2/inventories/a/transactions", fields,
                #"{"data":{"type":"stock-transaction","action":"increment","quantity":10}}"#), #"{"errors":[{"#
        ),
        (
            WireRequest(
                "POST", "/v2/inventories/a/transactions", fields + ["EP-Inventories-Multi-Location: true"],
                #"{"data":{"attributes":{"type":"stock-transaction","action":"set","quantity":1,"location":"n"}}}"#),
            #"{"errors":[{"#
        ),
        (
            WireRequest("POST", "/v2/inventories/multiple", fields, #"{"data":[{"id":"a"},{"id":"b"}]}"#),
            #"{"errors":[{"#
        ),
        (
            WireRequest("POST", "/oauth/access_token", [], "grant_type=client_credentials&client_id=a&client_secret=b"),
            #"{"errors":[{"#
        ),
    ]

    private static let pieces = [
        "", "\"", "\\", "{", "}", "[", "]", ":", ",", "-", "1e400", "5.5", "null", "\u{0}", "\u{FEFF}", "\\ud800", "&",
        "%",
        "%00", "=", "9007199254740992", "1e-1",
    ]

    private static func mutated(_ text: String, _ random: inout Generator) -> String {
        var units = Array(text.unicodeScalars)
        for _ in 0..<Int.random(in: 1...3, using: &random) {
            let start = Int.random(in: 0...units.count, using: &random)
            let end = min(units.count, start + Int.random(in: 0...6, using: &random))
            let piece = pieces.randomElement(using: &random) ?? ""
            units.replaceSubrange(start..<end, with: piece.unicodeScalars)
        }
        var result = String.UnicodeScalarView()
        result.append(contentsOf: units)
        return String(result)
    }

    @Test("any body has a plan or an error in the vendor's form", arguments: 0..<8)
    func mutations(seed: Int) throws {
        var random = Generator(state: UInt64(seed))
        var gateway = TestGateway(stock: .success([.result(.applied), .result(.applied)]))
        gateway.batch = .success("ticket")
        gateway.token = .success(IssuedToken("t", expires: 1, expiresInSeconds: 1))
        for _ in 0..<100 {
            for (request, errorStart) in Self.requests {
                var request = request
                request.body = Self.mutated(request.body, &random)
                let answer = try gateway.answer(request.bytes)
                #expect([200, 201, 400].contains(answer.status), "\(request.body)")
                #expect(throws: Never.self) { try JSONReader.read(Array(answer.body.utf8)[...]) }
                if answer.status >= 400 { #expect(answer.body.hasPrefix(errorStart), "\(request.body)") }
            }
        }
    }
}
