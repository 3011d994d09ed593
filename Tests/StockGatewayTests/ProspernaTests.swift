import HTTPServer
import StockGateway
import StockModel
import Testing

/// The conformance cases of Prosperna's API that are decided without a database.
@Suite struct ProspernaTests {
    private static let path = "/v1/products/stock-quantity"
    private static let target = "\(path)?store_id=639749a5cb1db88617891bf0"
    private static let product = "63e4f4fabf61b3a5047d9da4"
    private static let variant = "63e64f99ca104a61440fd50b"
    private static let body =
        #"[{"product_id":"\#(product)","purchased_quantity":9},{"purchased_quantity":5,"#
        + #""product_variant_combination_id":"\#(variant)"}]"#

    private static func post(
        _ body: String = body, target: String = target,
        fields: [String] = ["Content-Type: application/x-www-form-urlencoded"], method: String = "POST"
    ) -> String { WireRequest(method, target, fields, body).bytes }

    struct Case: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var request: String

        init(_ name: String, _ request: String) { (testDescription, self.request) = (name, request) }
    }

    // MARK: requests

    private static let seed =
        "POST /v1/products/stock-quantity?store_id=639749a5cb1db88617891bf0 HTTP/1.1\r\n"
        + "Accept: application/json, text/plain, */*\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        + "User-Agent: axios/1.2.1\r\nContent-Length: 151\r\nAccept-Encoding: gzip, compress, deflate, br\r\n"
        + "Host: api.prosperna.com\r\nConnection: close\r\n\r\n" + body

    private static let chunked =
        "POST \(target) HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        + "97\r\n\(body)\r\n0\r\n\r\n"

    @Test(
        "a list becomes one group of deductions, all or nothing",
        arguments: [
            Case("P1 axios", seed), Case("P2 JSON", post(fields: ["Content-Type: application/json"])),
            Case("P2 fetch", post(fields: ["Content-Type: text/plain;charset=UTF-8"])),
            Case("P2 no type", post(fields: [])), Case("P2 no type, chunked", chunked),
            Case("a slash too many", post(target: "/v1/products//stock-quantity/?store_id=639749a5cb1db88617891bf0")),
            Case("a URL without a scheme", post(target: "/api.prosperna.com" + target)),
            Case("through a proxy", post(target: "http://api.prosperna.com" + target)),
            Case("an unknown parameter", post(target: target + "&limit=3")),
            Case(
                "extra keys and null",
                post(
                    #"[{"product_id":"\#(product)","product_variant_combination_id":null,"purchased_quantity":9.0,"a":1},"#
                        + #"{"product_variant_combination_id":"\#(variant)","purchased_quantity":5e0}]"#)),
        ]) func lists(_ input: Case) throws
    {
        let call = try TestGateway().stockCall(input.request)
        #expect(call.access.store == .named("639749a5cb1db88617891bf0") && call.access.scopes == [.updateCatalog])
        #expect(call.access.caller.credential == nil && call.duplicateCheck == .unguarded)
        let jobs = call.jobs(store: "s")
        #expect(jobs.map(\.itemID) == [Self.product, Self.variant] && jobs.map(\.quantity) == [-9, -5])
        #expect(jobs.allSatisfy { $0.action == .adjust && $0.onInsufficient == .reject && $0.notify })
        #expect(Set(jobs.map(\.groupID)).count == 1 && jobs[0].groupID != nil)
    }

    @Test("a list of one line is a group, too, and repeated products stay lines of their own")
    func groups() throws {
        let line = #"{"product_id":"a","purchased_quantity":6}"#
        #expect(try TestGateway().stockCall(Self.post("[\(line)]")).jobs(store: "s")[0].groupID != nil)
        #expect(try TestGateway().stockCall(Self.post("[\(line),\(line)]")).lines.map(\.quantity) == [-6, -6])
    }

    @Test("an Idempotency-Key makes a key for each line")
    func keys() throws {
        let call = try TestGateway().stockCall(Self.post(fields: ["Idempotency-Key: order 7"]))
        #expect(call.jobs(store: "s").map(\.idempotencyKey) == ["order 7/1", "order 7/2"])
        let long = String(repeating: "k", count: 191)
        #expect(try TestGateway().answer(Self.post(fields: ["Idempotency-Key: \(long)"])).status == 400)
    }

    @Test(
        "P4: a token is taken from the query or the field; without one the store decides",
        arguments: [
            ("&token=k", [], "k"), ("", ["Authorization: Bearer k"], "k"), ("", ["Authorization: k"], "k"),
            ("", [], nil),
        ] as [(String, [String], String?)])
    func tokens(query: String, fields: [String], token: String?) throws {
        let call = try TestGateway().stockCall(Self.post(target: Self.target + query, fields: fields))
        #expect(call.access.caller.credential?.token == token)
    }

    @Test("P4: a token that cannot be read, and one that the executor does not accept, is 403")
    func wrongTokens() throws {
        let expected =
            #"{"data":null,"message":"We couldn't authenticate you.","statusCode":403,"error":true}"#
        for (query, fields) in [("&token=", []), ("", ["Authorization: Bearer"]), ("&token=a&token=b", [])] {
            let answer = try TestGateway().answer(Self.post(target: Self.target + query, fields: fields))
            #expect(answer.status == 403 && answer.body == expected)
        }
        #expect(try TestGateway(failing: .invalidCredential).answer(Self.post()).body == expected)
    }

    // MARK: faults

    @Test(
        "a request that is no list for one store is 400",
        arguments: [
            Case("P5 missing", post(target: path)), Case("P5 empty", post(target: "\(path)?store_id=")),
            Case("P5 blank", post(target: "\(path)?store_id=%20")),
            Case("P5 twice", post(target: "\(path)?store_id=a&store_id=a")), Case("P6 empty", post("[]")),
            Case("P6 an object", post("{}")), Case("P6 null", post("null")), Case("P6 a text", post("\"a\"")),
            Case("P6 one bare object", post(#"{"product_id":"a","purchased_quantity":1}"#)),
            Case("P17 a form", post("a=1&b=2")), Case("no body", post("")),
            Case("a duplicate key", post(#"[{"product_id":"a","product_id":"b","purchased_quantity":1}]"#)),
        ]) func notLists(_ input: Case) throws
    {
        let answer = try TestGateway().answer(input.request)
        #expect(answer.status == 400)
        #expect(answer.body.hasPrefix(#"{"data":null,"message":""#))
        #expect(answer.body.hasSuffix(#"","statusCode":400,"error":true}"#))
    }

    @Test("P3: multipart is 415")
    func multipart() throws {
        let answer = try TestGateway().answer(Self.post(fields: ["Content-Type: multipart/form-data; boundary=x"]))
        #expect(answer.status == 415)
        #expect(
            answer.body == #"{"data":null,"message":"The body must be a JSON array.","statusCode":415,"error":true}"#)
    }

    @Test(
        "P7, P8: a line with a fault is named with its number and index",
        arguments: [
            (
                #"{"product_id":"a","product_variant_combination_id":"b","purchased_quantity":1}"#,
                "the line must have either"
            ),
            (#"{"purchased_quantity":1}"#, "the line must have either"), (#""a""#, "the line must be an object"),
            (#"{"product_id":"","purchased_quantity":1}"#, "product_id must have 1 to 200 bytes"),
            (#"{"product_id":" ","purchased_quantity":1}"#, "product_id must have 1 to 200 bytes"),
            (#"{"product_id":5,"purchased_quantity":1}"#, "product_id must be a text"),
            (#"{"product_id":"a"}"#, "purchased_quantity is missing"),
            (#"{"product_id":"a","purchased_quantity":null}"#, "purchased_quantity is missing"),
            (#"{"product_id":"a","purchased_quantity":"9"}"#, "purchased_quantity must be a number"),
            (#"{"product_id":"a","purchased_quantity":true}"#, "purchased_quantity must be a number"),
            (#"{"product_id":"a","purchased_quantity":0}"#, "purchased_quantity must be a whole number from 1 to"),
            (#"{"product_id":"a","purchased_quantity":-1}"#, "purchased_quantity must be a whole number from 1 to"),
            (#"{"product_id":"a","purchased_quantity":9.5}"#, "purchased_quantity must be a whole number from 1 to"),
            (#"{"product_id":"a","purchased_quantity":1e400}"#, "purchased_quantity must be a whole number from 1 to"),
        ])
    func lines(line: String, message: String) throws {
        let answer = try TestGateway().answer(Self.post(#"[{"product_id":"a","purchased_quantity":1},\#(line)]"#))
        #expect(answer.status == 400)
        #expect(answer.body.hasPrefix(#"{"data":[{"line":2,"index":1,"code":"invalid","message":"\#(message)"#))
        #expect(answer.body.contains(#"],"message":"Line 2: \#(message)"#))
        #expect(answer.body.hasSuffix(#". Nothing was applied.","statusCode":400,"error":true}"#))
    }

    @Test("all lines with a fault are named")
    func severalLines() throws {
        let answer = try TestGateway().answer(Self.post(#"[1,{"product_id":"a","purchased_quantity":1},2]"#))
        #expect(answer.body.contains(#""index":0"#) && answer.body.contains(#""index":2"#))
        #expect(!answer.body.contains(#""index":1"#))
    }

    @Test("P18: 500 lines are a call, 501 and a body over the limit are not")
    func limits() throws {
        func list(_ count: Int) -> String {
            let line = #"{"product_id":"a","purchased_quantity":1}"#
            return Self.post("[" + Array(repeating: line, count: count).joined(separator: ",") + "]")
        }
        #expect(try TestGateway().stockCall(list(500)).lines.count == 500)
        #expect(try TestGateway().answer(list(501)).status == 400)
        var gateway = TestGateway()
        gateway.settings.bodyBytesMax = 150
        let answer = try gateway.answer(Self.seed)
        #expect(answer.status == 413 && answer.body.hasSuffix(#","statusCode":413,"error":true}"#))
        let chunks = try gateway.answer(Self.chunked)
        #expect(chunks.status == 413)
    }

    @Test("P15: another method is 405", arguments: ["GET", "PUT"])
    func methods(method: String) throws {
        let answer = try TestGateway().answer(WireRequest(method, Self.target).bytes)
        #expect(answer.status == 405 && answer["Allow"] == "OPTIONS, POST")
        #expect(answer.body.hasSuffix(#","statusCode":405,"error":true}"#))
    }

    // MARK: answers

    @Test("P1: lines that are applied, or of unlimited stock, are a success, byte for byte")
    func success() throws {
        let results: [LineResult] = [.result(.applied), .result(.unchanged, .untracked)]
        let answer = try TestGateway(stock: .success(results)).answer(Self.seed)
        #expect(answer.status == 200 && answer["Content-Type"] == "application/json; charset=utf-8")
        #expect(answer.body == #"{"data":null,"message":"Inventory successfully updated.","statusCode":200}"#)
    }

    @Test("P10: an unknown item is named with its line, whether it is found before the queue or by the worker")
    func unknownItem() throws {
        let expected =
            #"{"data":[{"line":2,"index":1,"code":"unknown_item","message":"there is no product or variant \#(Self.variant)"}],"#
            + #""message":"Line 2: there is no product or variant \#(Self.variant). Nothing was applied.","#
            + #""statusCode":400,"error":true}"#
        let early = try TestGateway(failing: .unknownItem(line: 1)).answer(Self.seed)
        #expect(early.status == 400 && early.body == expected)
        let results: [LineResult] = [
            .result(.rejected, .groupRejected, item: Self.product),
            .result(.rejected, .unknownItem, item: Self.variant),
        ]
        #expect(try TestGateway(stock: .success(results)).answer(Self.seed).body == expected)
    }

    @Test("P11: insufficient stock is 400 and names the line")
    func insufficient() throws {
        let results: [LineResult] = [
            .result(.rejected, .groupRejected, item: "a", before: 10),
            .result(.rejected, .insufficientStock, item: "a", before: 10),
        ]
        let answer = try TestGateway(stock: .success(results)).answer(Self.seed)
        #expect(answer.status == 400)
        #expect(
            answer.body == #"{"data":[{"line":2,"index":1,"code":"insufficient_stock","#
                + #""message":"a has not enough stock: 10 available before the call"}],"#
                + #""message":"Line 2: a has not enough stock: 10 available before the call. Nothing was applied.","#
                + #""statusCode":400,"error":true}"#)
    }

    @Test(
        "P5, P13: every failure has the envelope with its status",
        arguments: [
            (.unknownStore, 400), (.missingScope, 403), (.overLimit(retryAfterSeconds: 3), 429),
            (.storeLimit(retryAfterSeconds: 3), 429), (.callLimit, 400), (.severalStores, 403),
            (.unavailable(retryAfterSeconds: 3), 429), (.undecided, 408), (.idempotencyMismatch, 400),
            (.internalError, 500),
        ] as [(CallFailure, Int)])
    func failures(failure: CallFailure, status: Int) throws {
        // Also where the body has a fault: the caller's access is checked first.
        for body in [Self.body, "[]"] {
            let answer = try TestGateway(failing: failure).answer(Self.post(body))
            #expect(answer.status == status && answer.body.hasPrefix(#"{"data":null,"message":""#))
            #expect(answer.body.hasSuffix(#"","statusCode":\#(status),"error":true}"#))
            #expect(answer["Retry-After"] == (status == 429 ? "3" : nil))
        }
    }

    @Test("jobs that were canceled, failed, or used a key of another request have answers, too")
    func otherOutcomes() throws {
        func status(_ results: LineResult...) throws -> Int {
            try TestGateway(stock: .success(results)).answer(Self.seed).status
        }
        #expect(try status(.result(.canceled), .result(.canceled)) == 408)
        #expect(try status(.result(.failed), .result(.failed)) == 500)
        #expect(try status(.result(.rejected, .groupRejected), .result(.rejected, .idempotencyMismatch)) == 400)
        #expect(try status(.result(.rejected, .groupRejected), .result(.rejected, .outOfRange)) == 400)
    }

    @Test("a full server answers 429 in the envelope")
    func full() {
        let response = ProspernaAPI(VendorSettings()).errorStyle(HTTPFailure(.serviceUnavailable, "Full."))
        #expect(
            response.status == .tooManyRequests && response.fields == ResponseFields.json.adding("Retry-After", "1"))
        #expect(
            String(decoding: response.body, as: UTF8.self)
                == #"{"data":null,"message":"Full.","statusCode":429,"error":true}"#)
    }
}
