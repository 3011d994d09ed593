import HTTPServer
import StockGateway
import StockModel
import Testing

/// The conformance cases of Elastic Path's stock transactions that are decided without a database.
@Suite struct ElasticPathTests {
    static let product = "9eda5ba0-4f4a-4074-8547-ccb05d1b5981"
    static let target = "/v2/inventories/\(product)/transactions"
    static let bearer = "Authorization: Bearer XXXX"
    static let json = "Content-Type: application/json"
    static let multiLocation = "EP-Inventories-Multi-Location: true"

    static func body(_ action: String = "increment", _ quantity: String = "10") -> String {
        #"{"data":{"type":"stock-transaction","action":"\#(action)","quantity":\#(quantity)}}"#
    }

    static func post(
        _ body: String = body(), target: String = target, fields: [String] = [bearer, json], method: String = "POST"
    ) -> String { WireRequest(method, target, fields, body).bytes }

    struct Case: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var request: String

        init(_ name: String, _ request: String) { (testDescription, self.request) = (name, request) }
    }

    // MARK: requests

    static let sdkFields = [
        "X-MOLTIN-SDK-LANGUAGE: JS", "X-MOLTIN-SDK-VERSION: 27.8.0", "X-MOLTIN-APPLICATION: epcc sdk",
        "X-MOLTIN-CURRENCY: EUR", "X-MOLTIN-AUTH-STORE: other", "EP-Beta-Features: x", "X-MOLTIN-CUSTOMER-TOKEN: y",
    ]

    @Test(
        "a transaction as each client sends it",
        arguments: [
            Case(
                "M10 the seed",
                post(
                    """
                    {
                       "data": {
                         "type": "stock-transaction",
                         "action": "increment",
                         "quantity": 10
                       }
                     }
                    """)),
            Case(
                "M10, M30 the JS SDK",
                post(
                    "{\n        \"data\": {\"action\":\"increment\",\"quantity\":10,\"type\":\"stock-transaction\"}\n      }",
                    fields: [bearer, json] + sdkFields)),
            Case(
                "M16 gomo",
                post(
                    #"{"data":{"type":"stock-transaction","action":"increment","product_id":"","quantity":10}}"# + "\n",
                    target: "/v2//inventories/\(product)/transactions", fields: ["Authorization: Bearer: XXXX", json])),
            Case("M16 the PHP SDK", post(fields: ["Authorization: XXXX", json])),
            Case("M16 a scheme in lower case", post(fields: ["Authorization: bearer XXXX", json])),
            Case("M20 a fraction of zero", post(body("increment", "10.0"))),
            Case("M20 an exponent", post(body("increment", "1e1"))),
            Case("M22 no type", post(fields: [bearer])),
            Case("a type with a charset", post(fields: [bearer, "Content-Type: application/json;charset=UTF-8"])),
            Case("JSON:API", post(fields: [bearer, "Content-Type: application/vnd.api+json"])),
            Case(
                "M28 another value of the header", post(fields: [bearer, json, "EP-Inventories-Multi-Location: false"])),
            Case("an absolute target", post(target: "https://api.moltin.com\(target)")),
        ]) func transactions(_ input: Case) throws
    {
        let call = try TestGateway().stockCall(input.request)
        #expect(call.access.store == .ofToken && call.access.scopes == [.updateCatalog])
        #expect(call.access.caller.credential?.token == "XXXX" && !call.isGroup && call.duplicateCheck == .unguarded)
        #expect(call.jobs(store: "s") == [JobRequest(store: "s", item: Self.product, quantity: 10)])
    }

    @Test(
        "M10: each action is a job",
        arguments: [
            ("increment", .adjust, 10), ("decrement", .adjust, -10), ("allocate", .allocate, 10),
            ("deallocate", .deallocate, 10),
        ] as [(String, StockAction, Int64)])
    func actions(name: String, action: StockAction, quantity: Int64) throws {
        let line = try TestGateway().stockCall(Self.post(Self.body(name))).lines[0]
        #expect(line.action == action && line.quantity == quantity && line.onInsufficient == .reject)
        // The answer has the client's words.
        let answer = try TestGateway(stock: .success([.result(.applied)])).answer(Self.post(Self.body(name)))
        #expect(answer.status == 200)
        #expect(
            answer.body
                == #"{"data":{"id":"\#(TransactionID.text(.job(77)))","type":"stock-transaction","action":"\#(name)","#
                + #""product_id":"9eda5ba0-4f4a-4074-8547-ccb05d1b5981","quantity":10,"#
                + #""timestamps":{"created_at":"2018-05-01 10:10:57 +0000 UTC"}}}"#)
        #expect(answer["Content-Type"] == "application/json; charset=utf-8")
    }

    @Test("M32: an Idempotency-Key is the key of the job")
    func key() throws {
        let call = try TestGateway().stockCall(Self.post(fields: [Self.bearer, Self.json, "Idempotency-Key: k"]))
        #expect(call.jobs(store: "s")[0].idempotencyKey == "k")
    }

    // MARK: faults

    static let invalid =
        #"{"errors":[{"title":"Validation Error","status":400,"detail":"Your request was invalid""#

    @Test(
        "a body that is no transaction is a validation error",
        arguments: [
            ("M19", #"{"data":{"action":"increment","quantity":1}}"#),
            ("M19", #"{"data":{"type":"stock","action":"increment","quantity":1}}"#),
            ("M19", #"{"data":{"type":null,"action":"increment","quantity":1}}"#), ("M19", body("set")),
            ("M19", body("Increment")), ("M19", body("")),
            ("M19", #"{"data":{"type":"stock-transaction","quantity":1}}"#),
            ("M20", body("increment", "\"5\"")), ("M20", body("increment", "5.5")), ("M20", body("increment", "0")),
            ("M20", body("increment", "-1")), ("M20", body("increment", "null")),
            ("M20", #"{"data":{"type":"stock-transaction","action":"increment"}}"#),
            ("M20", body("increment", "1e400")),
            ("M20", body("increment", "9007199254740992")), ("M21", "{}"), ("M21", #"{"data":[]}"#),
            ("M21", #"{"data":null}"#), ("M21", ""), ("M21", "null"), ("M21", "{"), ("M21", "[]"),
            ("M33", #"{"data":{},"data":{"type":"stock-transaction","action":"increment","quantity":1}}"#),
            ("M33", #"{"data":{"type":"stock-transaction","action":"increment","quantity":1,"quantity":2}}"#),
        ])
    func wrongBodies(number: String, body: String) throws {
        let answer = try TestGateway().answer(Self.post(body))
        #expect(answer.status == 400 && answer.body.hasPrefix(Self.invalid))
        #expect(answer.body.contains(#""meta":{"reason":""#))
        // The token is checked first.
        #expect(try TestGateway(failing: .invalidCredential).answer(Self.post(body)).status == 401)
        #expect(try TestGateway(failing: .missingScope).answer(Self.post(body)).status == 403)
    }

    @Test("a validation error names the field and its rule")
    func source() throws {
        #expect(
            try TestGateway().answer(Self.post(Self.body("increment", "0"))).body == Self.invalid
                + #","source":"quantity","meta":{"reason":"quantity must be a whole number from 1 to 9007199254740991"}}]}"#
        )
    }

    @Test(
        "M13: no token, or none that can be read, is 401",
        arguments: [
            [], ["Authorization:"], ["Authorization: Bearer"], ["Authorization: Basic YTpi"],
            ["Authorization: Token token=\"t\""], [bearer, bearer],
        ])
    func noToken(fields: [String]) throws {
        let answer = try TestGateway().answer(Self.post(fields: fields + [Self.json]))
        #expect(answer.status == 401 && answer["WWW-Authenticate"] == "Bearer")
        #expect(answer.body == #"{"errors":[{"status":401,"title":"Unable to validate access token"}]}"#)
    }

    @Test("a token in the query is none", arguments: [[], ["Authorization: Bearer"]])
    func queryToken(fields: [String]) throws {
        let request = Self.post(target: "\(Self.target)?token=XXXX", fields: fields + [Self.json])
        #expect(try TestGateway().answer(request).status == 401)
    }

    @Test(
        "M22: another type is 415",
        arguments: ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data"])
    func types(type: String) throws {
        let answer = try TestGateway().answer(Self.post(fields: [Self.bearer, "Content-Type: \(type)"]))
        #expect(answer.status == 415)
        #expect(answer.body.hasPrefix(#"{"errors":[{"status":415,"title":"Unsupported Media Type","detail":""#))
    }

    @Test("M25: another method is 405 with errors", arguments: ["PUT", "PATCH", "DELETE"])
    func methods(method: String) throws {
        let answer = try TestGateway().answer(WireRequest(method, Self.target, [Self.bearer]).bytes)
        #expect(answer.status == 405 && answer["Allow"] == "GET, HEAD, OPTIONS, POST")
        #expect(answer.body.hasPrefix(#"{"errors":[{"status":405,"title":"Method Not Allowed","#))
    }

    // MARK: answers

    struct Answer: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var answer: StockAnswer
        var status: Int
        var body: String

        init(_ name: String, _ answer: StockAnswer, _ status: Int, _ body: String) {
            (testDescription, self.answer, self.status, self.body) = (name, answer, status, body)
        }
    }

    static let insufficient =
        #"{"errors":[{"status":422,"title":"Cannot complete request","detail":"Your request could not be completed "#
        + #"due to insufficient stock levels"}]}"#
    static let notFound =
        #"{"errors":[{"title":"Not Found","status":404,"detail":"The resource could not be found"}]}"#
    static let undecided =
        #"{"errors":[{"status":408,"title":"Request Timeout","detail":"The request was not processed in time and was "#
        + #"canceled. Nothing was applied."}]}"#
    static let fault =
        #"{"errors":[{"status":500,"title":"Internal Server Error","detail":"There was an internal server error. "#
        + #"Nothing was applied."}]}"#

    @Test(
        "an outcome that is no success becomes errors with an integer status, byte for byte",
        arguments: [
            Answer("M11 stock", .success([.result(.rejected, .insufficientStock)]), 422, insufficient),
            Answer("M11 allocation", .success([.result(.rejected, .insufficientAllocation)]), 422, insufficient),
            Answer("M12 unknown", .success([.result(.rejected, .unknownItem)]), 404, notFound),
            Answer("M12 unknown, before the queue", .failure(.unknownItem(line: 0)), 404, notFound),
            Answer("M12 unmanaged", .success([.result(.unchanged, .untracked)]), 404, notFound),
            Answer(
                "M13", .failure(.invalidCredential), 401,
                #"{"errors":[{"status":401,"title":"Unable to validate access token"}]}"#),
            Answer("M15", .failure(.missingScope), 403, #"{"errors":[{"status":403,"title":"Forbidden"}]}"#),
            Answer(
                "a token of several stores", .failure(.severalStores), 403,
                #"{"errors":[{"status":403,"title":"Forbidden","detail":"The token has several stores. "#
                    + #"This call needs a token of one store."}]}"#),
            Answer(
                "M27", .failure(.overLimit(retryAfterSeconds: 1)), 429,
                #"{"errors":[{"status":429,"title":"Too Many Requests","detail":"The limit of requests is reached. "#
                    + #"Nothing was applied. Try again later."}]}"#),
            Answer(
                "the database is away", .failure(.unavailable(retryAfterSeconds: 1)), 429,
                #"{"errors":[{"status":429,"title":"Too Many Requests","detail":"The server is busy. "#
                    + #"Nothing was applied. Try again later."}]}"#),
            Answer("undecided", .failure(.undecided), 408, undecided),
            Answer("canceled", .success([.result(.canceled)]), 408, undecided),
            Answer("failed", .success([.result(.failed)]), 500, fault),
            Answer("a fault", .failure(.internalError), 500, fault),
            Answer(
                "a key of another request", .success([.result(.rejected, .idempotencyMismatch)]), 409,
                #"{"errors":[{"status":409,"title":"Conflict","detail":"The Idempotency-Key was used for another "#
                    + #"request. Nothing was applied."}]}"#),
            Answer(
                "a stock beyond the bounds", .success([.result(.rejected, .outOfRange)]), 400,
                invalid + #","source":"quantity","meta":{"reason":"quantity would make the stock out of range"}}]}"#),
        ]) func failures(_ input: Answer) throws
    {
        let answer = try TestGateway(stock: input.answer).answer(Self.post())
        #expect(answer.status == input.status && answer.body == input.body)
        #expect(answer["Retry-After"] == (input.status == 429 ? "1" : nil))
        #expect((answer["WWW-Authenticate"] != nil) == (input.status == 401))
    }

    @Test("an adjustment that changes nothing is a transaction")
    func unchanged() throws {
        #expect(try TestGateway(stock: .success([.result(.unchanged, .noChange)])).answer(Self.post()).status == 200)
    }

    // MARK: errors of other layers

    @Test(
        "M26: an error of each layer has errors with an integer status",
        arguments: [
            (WireRequest("GET", "/v2/nothing").bytes, 404), (WireRequest("GET", "/pcm/products", [bearer]).bytes, 404),
            (WireRequest("FOO", target).bytes, 501), ("GET /v2 HTTP/1.1\r\n\r\n", 400),
            ("GET /v2/a b HTTP/1.1\r\n\r\n", 400),
            (post(fields: [bearer, json, "Transfer-Encoding: gzip"]), 400),
            (post(fields: [bearer, json, "Expect: x"]), 417),
            (post(String(repeating: " ", count: 1 << 20 + 1)), 413),
            (WireRequest("GET", "/v2/" + String(repeating: "a", count: 9_000)).bytes, 414),
            (post(fields: ["A: " + String(repeating: "a", count: 17_000)]), 431),
            (post(target: "/v2/inventories/%zz/transactions"), 400),
            (post(fields: [bearer, json, "Content-Encoding: gzip"]), 415),
            (WireRequest("GET", "http://api.moltin.com/v2/nothing").bytes, 404),
            ("GET /v2/inventories HTTP/3.0\r\n\r\n", 505),
        ])
    func layers(request: String, status: Int) throws {
        let answer = try TestGateway().answer(request)
        #expect(answer.status == status && answer["Content-Type"] == "application/json; charset=utf-8")
        #expect(answer.body.hasPrefix(#"{"errors":[{"#) && answer.body.contains("\"status\":\(status),"))
        #expect(answer.body.hasSuffix("}]}"))
    }

    @Test(
        "M26: the style of errors covers every status, and a full server is 429",
        arguments: [
            400, 404, 405, 408, 413, 414, 415, 417, 429, 431, 500, 501, 503, 505, 599,
        ])
    func style(code: Int) {
        let response = ElasticPathAPI(VendorSettings()).errorStyle(HTTPFailure(HTTPStatus(code), "Why."))
        let status = code == 503 ? 429 : code
        #expect(response.status.code == status)
        let body = String(decoding: response.body, as: UTF8.self)
        #expect(body.hasPrefix(#"{"errors":[{"#) && body.contains("\"status\":\(status),"))
    }

    // MARK: browsers

    @Test("H16: a preflight is answered with what it asks for", arguments: [target, "/oauth/access_token"])
    func preflight(target: String) throws {
        let names = "authorization, content-type, x-moltin-application, x-moltin-sdk-language, x-moltin-sdk-version"
        let answer = try TestGateway().answer(
            WireRequest(
                "OPTIONS", target,
                [
                    "Origin: https://shop", "Access-Control-Request-Method: POST",
                    "Access-Control-Request-Headers: \(names)",
                ]
            ).bytes)
        #expect(answer.status == 204 && answer.body == "" && answer["Allow"]?.contains("POST") == true)
        #expect(answer["Access-Control-Allow-Origin"] == "*" && answer["Access-Control-Allow-Headers"] == names)
        #expect(answer["Access-Control-Allow-Methods"]?.contains("POST") == true)
        #expect(answer["Access-Control-Max-Age"] != nil && answer["Vary"] == "Origin")
    }

    @Test("an error reaches a page of another origin")
    func originOfErrors() throws {
        let answer = try TestGateway().answer(Self.post(fields: ["Origin: https://shop", Self.json]))
        #expect(answer.status == 401 && answer["Access-Control-Allow-Origin"] == "*")
    }
}
