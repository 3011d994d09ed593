import HTTPServer
import StockGateway
import StockModel
import Testing

/// The conformance cases of Ecwid's API that are decided without a database.
@Suite struct EcwidTests {
    static let product = "/api/v3/1003/products/39766764/inventory"
    static let variation = "/api/v3/1003/products/39766764/combinations/7084060/inventory"
    static let bearer = "Authorization: Bearer secret_abcd"
    static let json = "Content-Type: application/json"

    /// A request that differs from a valid one in what is given.
    static func put(
        _ body: String = #"{"quantityDelta":-10}"#, target: String = product, fields: [String] = [bearer, json],
        method: String = "PUT"
    ) -> String { WireRequest(method, target, fields, body).bytes }

    struct Case: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var request: String

        init(_ name: String, _ request: String) { (testDescription, self.request) = (name, request) }
    }

    // MARK: requests

    static let seed = """
        PUT /api/v3/1003/products/39766764/inventory?checkLowStockNotification=true HTTP/1.1\r
        Authorization: Bearer secret_ab***cd\r
        Host: app.ecwid.com\r
        Content-Type: application/json\r
        Cache-Control: no-cache\r
        Content-Length: 29\r
        \r
        {
            "quantityDelta": -10
        }

        """

    @Test("E1: a product's delta becomes one adjust job that may make stock negative")
    func productCall() throws {
        let call = try TestGateway().stockCall(Self.seed)
        #expect(call.access.store == .named("1003") && call.access.scopes == [.updateCatalog])
        #expect(call.access.caller.credential == Credential("secret_ab***cd", .bearer))
        #expect(call.access.caller.peer == PeerAddress("192.0.2.1"))
        #expect(call.duplicateCheck == .unguarded && !call.isGroup && call.deadlineMs == 15_000)
        var expected = JobRequest(store: "1003", item: "39766764", quantity: -10)
        expected.onInsufficient = .allow
        #expect(call.jobs(store: "1003") == [expected])
        #expect(call.lines[0].role == .product)
    }

    @Test("E2: a variation's delta is for an item of that product, and needs both scopes")
    func variationCall() throws {
        let call = try TestGateway().stockCall(Self.put(target: Self.variation))
        #expect(call.access.scopes == [.readCatalog, .updateCatalog])
        #expect(call.lines[0].itemID == "7084060" && call.lines[0].role == .variation(of: "39766764"))
        #expect(call.lines[0].onInsufficient == .allow && call.lines[0].notify == false)
    }

    @Test(
        "E6, E7: the flag says whether the job creates notifications, in any case",
        arguments: [
            ("true", true), ("false", false), ("yes", true), ("no", false), ("on", true), ("off", false), ("1", true),
            ("0", false), ("True", true), ("YES", true), ("FALSE", false), ("oFF", false),
        ])
    func flags(text: String, notifies: Bool) throws {
        for target in [Self.product, Self.variation] {
            let request = Self.put(target: "\(target)?checkLowStockNotification=\(text)")
            #expect(try TestGateway().stockCall(request).lines[0].notify == notifies)
        }
    }

    @Test(
        "E8: another flag is a wrong parameter", arguments: ["maybe", "", "2", "true&checkLowStockNotification=false"])
    func wrongFlags(text: String) throws {
        let answer = try TestGateway().answer(Self.put(target: "\(Self.product)?checkLowStockNotification=\(text)"))
        #expect(answer.status == 400)
        #expect(
            answer.body == #"{"errorMessage":"Wrong parameter 'checkLowStockNotification' value: expected one of "#
                + #"'true', 'false', 'yes', 'no', 'on', 'off', '1', '0'","errorCode":"WRONG_PARAMETER"}"#)
    }

    @Test(
        "requests that are the same call in other words",
        arguments: [
            Case("E10 an unknown parameter", put(target: "\(product)?limit=100")),
            Case("E11 with a charset", put(fields: [bearer, "Content-Type: application/json;charset=utf-8"])),
            Case("E11 with a blank", put(fields: [bearer, "content-type: application/json; charset=UTF-8"])),
            Case("E11 with quotes", put(fields: [bearer, #"Content-Type: application/json;charset="utf-8""#])),
            Case("E11 text/json", put(fields: [bearer, "Content-Type: text/json"])),
            Case("E11 other case", put(fields: [bearer, "Content-Type: Application/JSON"])),
            Case("E20 the token in the query", put(target: "\(product)?token=secret_abcd", fields: [json])),
            Case("E20 an empty field", put(target: "\(product)?token=secret_abcd", fields: ["Authorization:", json])),
            Case(
                "E21 the Ruby client",
                put(
                    target: "\(product)?token=secret_abcd",
                    fields: [#"Authorization: Token token="secret_abcd""#, json])),
            Case("E35 a fraction of zero", put(#"{"quantityDelta": -10.0}"#)),
            Case("E35 an exponent", put(#"{"quantityDelta":-1E+1}"#)),
            Case("E35 a negative exponent", put(#"{"quantityDelta":-100e-1}"#)),
            Case("E41 extra keys", put(#"{"a":[{"b":1}],"quantityDelta":-10,"quantitydelta":3}"#)),
            Case("blanks and a line break", put("\r\n{ \"quantityDelta\" :\t-10 }\n")),
            Case("slashes too many", put(target: "//api/v3//1003/products/39766764/inventory/")),
            Case("an absolute target", put(target: "http://app.ecwid.com\(product)")),
            Case("an escaped path", put(target: "/api/v3/1003/products/%339766764/inventory")),
            Case("a scheme in another case", put(fields: ["Authorization: bEARER  secret_abcd", json])),
            Case("a bare token", put(fields: ["Authorization: secret_abcd", json])),
            Case("H10 no coding", put(fields: [bearer, json, "Content-Encoding: identity"])),
            Case("H24 another Accept", put(fields: [bearer, json, "Accept: text/html"])),
        ]) func variants(_ input: Case) throws
    {
        let call = try TestGateway().stockCall(input.request)
        let line = try #require(call.lines.first)
        #expect(line.itemID == "39766764" && line.quantity == -10 && line.action == .adjust)
        #expect(call.access.caller.credential?.token == "secret_abcd")
    }

    @Test(
        "E35: whole numbers in other forms",
        arguments: [
            ("5.0", 5), ("-10.0", -10), ("1e3", 1_000), ("1E+2", 100), ("50e-1", 5), ("-0", 0), ("0", 0),
            ("9007199254740991", 9_007_199_254_740_991), ("-9007199254740991", -9_007_199_254_740_991),
        ] as [(String, Int64)])
    func wholeNumbers(text: String, value: Int64) throws {
        #expect(try TestGateway().stockCall(Self.put("{\"quantityDelta\":\(text)}")).lines[0].quantity == value)
    }

    @Test("path segments are decoded like parameters: a plus is a space, %2B a plus")
    func pathDecoding() throws {
        let call = try TestGateway().stockCall(Self.put(target: "/api/v3/my+store/products/a%2Bb%2Fc/inventory"))
        #expect(call.access.store == .named("my store") && call.lines[0].itemID == "a+b/c")
    }

    // MARK: faults

    @Test(
        "a body that says no delta is a wrong parameter, at once",
        arguments: [
            ("E31", "{"), ("E31", #"{"quantityDelta":}"#), ("E31", "{'quantityDelta':1}"), ("E31", "quantityDelta=-10"),
            ("E31", #"{"quantityDelta":1}x"#), ("E31", ""), ("E31", "null"), ("E31", "[1]"), ("E33", "{}"),
            ("E33", #"{"QuantityDelta":1}"#), ("E33", #"{"quantityDelta":null}"#), ("E34", #"{"quantityDelta":"5"}"#),
            ("E34", #"{"quantityDelta":true}"#), ("E34", #"{"quantityDelta":[5]}"#), ("E34", #"{"quantityDelta":{}}"#),
            ("E36", #"{"quantityDelta":5.5}"#), ("E36", #"{"quantityDelta":1e-1}"#),
            ("E38", #"{"quantityDelta":9007199254740992}"#), ("E38", #"{"quantityDelta":9223372036854775808}"#),
            ("E38", #"{"quantityDelta":-9223372036854775808}"#), ("E38", #"{"quantityDelta":1e21}"#),
            ("E38", #"{"quantityDelta":1e+21}"#), ("E38", #"{"quantityDelta":1e400}"#),
            ("E38", #"{"quantityDelta":1e99999999999999999999}"#),
            ("E38", "{\"quantityDelta\":\(String(repeating: "9", count: 10_000))}"),
            ("E39", #"{"quantityDelta":NaN}"#), ("E39", #"{"quantityDelta":Infinity}"#),
            ("E39", #"{"quantityDelta":+5}"#), ("E39", #"{"quantityDelta":05}"#), ("E39", #"{"quantityDelta":.5}"#),
            ("E39", #"{"quantityDelta":5.}"#), ("E39", #"{"quantityDelta":0x5}"#),
            ("E40", #"{"quantityDelta":1,"quantityDelta":2}"#),
            ("E40", #"{"quantityDelta":1,"quantity\u0044elta":1}"#),
            ("depth", String(repeating: "[", count: 30_000)),
        ])
    func wrongBodies(number: String, body: String) throws {
        let gateway = TestGateway()
        guard case .access(let access, _) = try gateway.plan(Self.put(body)) else { throw TestError("enqueued") }
        #expect(access.store == .named("1003") && access.scopes == [.updateCatalog])
        let answer = try gateway.answer(Self.put(body))
        #expect(answer.status == 400 && answer.body.hasSuffix(#","errorCode":"WRONG_PARAMETER"}"#))
        #expect(answer["Content-Type"] == "application/json; charset=utf-8")
        if number == "E33" {
            #expect(answer.body.hasPrefix(#"{"errorMessage":"Required parameter 'quantityDelta' is missing""#))
        }
        // A wrong token is reported first.
        #expect(try TestGateway(failing: .invalidCredential).answer(Self.put(body)).status == 403)
    }

    @Test(
        "E12, E13: another type, and none, is 415",
        arguments: [
            ["Content-Type: application/x-www-form-urlencoded"], ["Content-Type: text/plain"],
            ["Content-Type: application/xml"],
            ["Content-Type: application/vnd.api+json"], ["Content-Type:"], [], [json, "Content-Type: text/plain"],
        ])
    func types(fields: [String]) throws {
        let answer = try TestGateway().answer(Self.put(fields: [Self.bearer] + fields))
        #expect(answer.status == 415)
        #expect(
            answer.body == #"{"errorMessage":"Unsupported content-type: expected application/json or text/json","#
                + #""errorCode":"UNSUPPORTED_CONTENT_TYPE"}"#)
    }

    @Test("H10: a compressed body is 415 and says which coding is known")
    func compressed() throws {
        let answer = try TestGateway().answer(Self.put(fields: [Self.bearer, Self.json, "Content-Encoding: gzip"]))
        #expect(answer.status == 415 && answer["Accept-Encoding"] == "identity")
    }

    @Test(
        "E15, E16: no token, or none that can be read, is 403 INVALID_API_TOKEN",
        arguments: [
            Case("E15 none", put(fields: [json])), Case("E16 an empty field", put(fields: ["Authorization:", json])),
            Case("E16 a scheme alone", put(fields: ["Authorization: Bearer", json])),
            Case("E16 a scheme and blanks", put(fields: ["Authorization: Bearer   ", json])),
            Case("E16 an empty parameter", put(target: "\(product)?token=", fields: [json])),
            Case("another scheme", put(fields: ["Authorization: Basic YTpi", json])),
            Case("two words", put(fields: ["Authorization: Bearer a b", json])),
            Case("two fields", put(fields: [bearer, bearer, json])),
            Case("two parameters", put(target: "\(product)?token=a&token=b", fields: [json])),
            Case("a control character", put(target: "\(product)?token=a%0Ab", fields: [json])),
        ]) func noToken(_ input: Case) throws
    {
        let answer = try TestGateway().answer(input.request)
        #expect(answer.status == 403 && answer.body.hasSuffix(#","errorCode":"INVALID_API_TOKEN"}"#))
        #expect(answer["WWW-Authenticate"] == nil)
    }

    @Test("E20, E21: by the setting, tokens in queries and of the Ruby client's kind are not accepted")
    func queryTokens() throws {
        var gateway = TestGateway()
        gateway.settings.acceptsEcwidQueryTokens = false
        let query = Self.put(target: "\(Self.product)?token=t", fields: [Self.json])
        let ruby = Self.put(target: "\(Self.product)?token=t", fields: [#"Authorization: Token token="t""#, Self.json])
        for request in [query, ruby] { #expect(try gateway.answer(request).status == 403) }
        #expect(try gateway.stockCall(Self.put()).access.caller.credential?.form == .bearer)
    }

    @Test(
        "E30: another method is 405 with the methods of the path",
        arguments: ["GET", "POST", "DELETE", "PATCH", "HEAD"])
    func methods(method: String) throws {
        for target in [Self.product, Self.variation] {
            let answer = try TestGateway().answer(WireRequest(method, target, [Self.bearer]).bytes)
            #expect(answer.status == 405 && answer["Allow"] == "OPTIONS, PUT")
            if method == "HEAD" {
                #expect(answer.body == "")
            } else {
                #expect(answer.body.hasSuffix(#","errorCode":"METHOD_NOT_ALLOWED"}"#))
            }
        }
    }

    @Test("E25: ids are texts, and one that no item can have is unknown")
    func ids() throws {
        #expect(
            try TestGateway().stockCall(Self.put(target: "/api/v3/1003/products/abc/inventory")).lines[0].itemID
                == "abc")
        let long = String(repeating: "x", count: 201)
        let product = try TestGateway().answer(Self.put(target: "/api/v3/1003/products/\(long)/inventory"))
        #expect(product.status == 404 && product.body.hasSuffix(#","errorCode":"PRODUCT_NOT_FOUND"}"#))
        let combination = try TestGateway().answer(
            Self.put(target: "/api/v3/1003/products/1/combinations/\(long)/inventory"))
        #expect(combination.status == 404 && combination.body.hasSuffix(#","errorCode":"COMBINATION_NOT_FOUND"}"#))
        let store = try TestGateway().answer(Self.put(target: "/api/v3/\(long)/products/1/inventory"))
        #expect(store.status == 404 && store.body.hasSuffix(#","errorCode":"STORE_NOT_FOUND"}"#))
    }

    // MARK: duplicates

    @Test("the client's request id guards a call for minutes; an Idempotency-Key comes first")
    func duplicateCheck() throws {
        let id = "X-Ecwid-Api-Request-Id: aZ09bY18"
        func duplicateCheck(_ fields: [String], _ query: String = "") throws -> DuplicateCheck {
            let target = "\(Self.product)?\(query)checkLowStockNotification=false"
            return try TestGateway().stockCall(Self.put(target: target, fields: [Self.json] + fields)).duplicateCheck
        }
        let fingerprint = CallFingerprint(
            requestID: "aZ09bY18", target: "PUT \(Self.product)?checkLowStockNotification=false",
            body: Array(#"{"quantityDelta":-10}"#.utf8))
        #expect(try duplicateCheck([Self.bearer, id]) == .guarded(fingerprint))
        #expect(try duplicateCheck([id], "token=secret_x&") == .guarded(fingerprint))
        let key = try #require(IdempotencyKey("k 1"))
        #expect(try duplicateCheck([Self.bearer, id, "Idempotency-Key: k 1"]) == .key(key))
        #expect(try duplicateCheck([Self.bearer, "Idempotency-Key: \"k 1\""]) == .key(key))
        for fields in [["Idempotency-Key:"], ["Idempotency-Key: a", "Idempotency-Key: a"]] {
            #expect(try TestGateway().answer(Self.put(fields: [Self.bearer, Self.json] + fields)).status == 400)
        }
    }
}
