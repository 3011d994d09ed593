import HTTPServer
import StockGateway
import StockModel
import Testing

// Answers, and errors of other layers.
extension EcwidTests {
    // MARK: answers

    struct Answer: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var answer: StockAnswer
        var status: Int
        var body: String
        var retryAfter: String?

        init(_ name: String, _ answer: StockAnswer, _ status: Int, _ body: String, retryAfter: String? = nil) {
            (testDescription, self.answer, self.status) = (name, answer, status)
            (self.body, self.retryAfter) = (body, retryAfter)
        }

        init(_ name: String, _ result: LineResult, _ status: Int, _ body: String) {
            self.init(name, .success([result]), status, body)
        }
    }

    @Test(
        "a result becomes an answer, byte for byte",
        arguments: [
            Answer("E1, E48 applied", .result(.applied), 200, #"{"updateCount":1}"#),
            Answer(
                "E3, E4 below 0", .result(.applied, warning: .negativeStock), 200,
                #"{"updateCount":1,"warning":"Product has negative stock."}"#),
            Answer("E5 zero", .result(.unchanged, .noChange), 200, #"{"updateCount":0}"#),
            Answer("E5 unlimited", .result(.unchanged, .untracked), 200, #"{"updateCount":0}"#),
            Answer(
                "E17", .failure(.invalidCredential), 403,
                #"{"errorMessage":"The API token is missing, wrong or expired, or is not one of this store's.","#
                    + #""errorCode":"INVALID_API_TOKEN"}"#),
            Answer(
                "E18", .failure(.missingScope), 403,
                #"{"errorMessage":"The API token lacks a scope. The call needs the scope enqueue (update_catalog) to "#
                    + #"change stock, and read (read_catalog) to read it or to change a variation.","#
                    + #""errorCode":"INSUFFICIENT_APP_SCOPE"}"#),
            Answer(
                "the store's limit", .failure(.storeLimit(retryAfterSeconds: 7)), 429,
                #"{"errorMessage":"The store has as many ready jobs as it may have. Nothing was applied. "#
                    + #"Try again after the given seconds.","errorCode":"RATE_LIMITED"}"#, retryAfter: "7"),
            Answer(
                "more than the store's limit", .failure(.callLimit), 409,
                #"{"errorMessage":"The call has more lines than the store may have ready jobs. Nothing was applied, "#
                    + #"and trying again does not help: send fewer lines in a call.","#
                    + #""errorCode":"CONSTRAINT_VIOLATION"}"#),
            Answer(
                "E23 store", .failure(.unknownStore), 404,
                #"{"errorMessage":"There is no such store.","errorCode":"STORE_NOT_FOUND"}"#),
            Answer(
                "E23 product, before the queue", .failure(.unknownItem(line: 0)), 404,
                #"{"errorMessage":"There is no such product.","errorCode":"PRODUCT_NOT_FOUND"}"#),
            Answer(
                "E23 product", .result(.rejected, .unknownItem), 404,
                #"{"errorMessage":"There is no such product.","errorCode":"PRODUCT_NOT_FOUND"}"#),
            Answer(
                "a stock beyond the bounds", .result(.rejected, .outOfRange), 400,
                #"{"errorMessage":"Wrong parameter 'quantityDelta' value: the stock would be out of range","#
                    + #""errorCode":"WRONG_PARAMETER"}"#),
            Answer(
                "E45", .failure(.overLimit(retryAfterSeconds: 7)), 429,
                #"{"errorMessage":"Too many requests. Nothing was applied. Try again after the given seconds.","#
                    + #""errorCode":"RATE_LIMITED"}"#, retryAfter: "7"),
            Answer(
                "E46 for a while", .failure(.unavailable(retryAfterSeconds: 0)), 429,
                #"{"errorMessage":"The server is busy. Nothing was applied. Try again after the given seconds.","#
                    + #""errorCode":"RATE_LIMITED"}"#, retryAfter: "1"),
            Answer(
                "E46 for long", .failure(.internalError), 500,
                #"{"errorMessage":"The server has a fault. Nothing was applied.","errorCode":"INTERNAL_ERROR"}"#),
            Answer(
                "a failed job", .result(.failed), 500,
                #"{"errorMessage":"The server has a fault. Nothing was applied.","errorCode":"INTERNAL_ERROR"}"#),
            Answer(
                "E47", .failure(.undecided), 408,
                #"{"errorMessage":"The call was not processed in time and was canceled. Nothing was applied.","#
                    + #""errorCode":"TIMEOUT"}"#),
            Answer(
                "E47 canceled by an administrator", .result(.canceled), 408,
                #"{"errorMessage":"The call was not processed in time and was canceled. Nothing was applied.","#
                    + #""errorCode":"TIMEOUT"}"#),
            Answer(
                "a key of another request", .result(.rejected, .idempotencyMismatch), 409,
                #"{"errorMessage":"The Idempotency-Key was used for another request. Nothing was applied.","#
                    + #""errorCode":"CONSTRAINT_VIOLATION"}"#),
        ]) func answers(_ input: Answer) throws
    {
        let answer = try TestGateway(stock: input.answer).answer(Self.put())
        #expect(answer.status == input.status && answer.body == input.body)
        #expect(answer["Retry-After"] == input.retryAfter)
        #expect(answer["Content-Type"] == "application/json; charset=utf-8")
    }

    @Test("E23, E24: an unknown variation, and one of another product, is COMBINATION_NOT_FOUND")
    func unknownVariation() throws {
        for answer in [.failure(.unknownItem(line: 0)), .success([.result(.rejected, .unknownItem)])] as [StockAnswer] {
            let answer = try TestGateway(stock: answer).answer(Self.put(target: Self.variation))
            #expect(answer.status == 404)
            #expect(
                answer.body
                    == #"{"errorMessage":"The product has no such combination.","errorCode":"COMBINATION_NOT_FOUND"}"#)
        }
    }

    @Test("E45: Retry-After is from 1 to 60", arguments: [(-5, "1"), (1, "1"), (60, "60"), (3_600, "60")])
    func retryAfter(seconds: Int, text: String) throws {
        let gateway = TestGateway(failing: .overLimit(retryAfterSeconds: seconds))
        #expect(try gateway.answer(Self.put())["Retry-After"] == text)
    }

    @Test("E49: the profile has the store's id, as a number where it is one")
    func profile() throws {
        let request = WireRequest("GET", "/api/v3/1003/profile?token=t").bytes
        var gateway = TestGateway()
        #expect(try gateway.answer(request).body == #"{"generalInfo":{"storeId":1003}}"#)
        gateway.access = .success(AccessGrant(store: "my store"))
        #expect(try gateway.answer(request).body == #"{"generalInfo":{"storeId":"my store"}}"#)
        #expect(try TestGateway(failing: .invalidCredential).answer(request).status == 403)
        #expect(try gateway.answer(WireRequest("GET", "/api/v3/1003/profile").bytes).status == 403)
        guard case .access(let access, _) = try gateway.plan(request) else { throw TestError("another call") }
        #expect(access.scopes.isEmpty && access.store == .named("1003"))
    }

    @Test("E50, H1: two calls on one connection are answered in order")
    func keepAlive() throws {
        let answers = try TestGateway(stock: .success([.result(.applied)])).answers(Self.put() + Self.put("{}"))
        #expect(answers.map(\.status) == [200, 400])
    }

    // MARK: errors of other layers

    @Test(
        "an error of each layer has errorMessage and errorCode",
        arguments: [
            (WireRequest("GET", "/api/v3/1003/nothing").bytes, 404, "NOT_FOUND"),
            (WireRequest("FOO", product).bytes, 501, "METHOD_NOT_ALLOWED"),
            (WireRequest("put", product).bytes, 501, "METHOD_NOT_ALLOWED"),
            ("PUT \(product) HTTP/1.1\r\n\r\n", 400, "WRONG_PARAMETER"),
            (put(fields: [bearer, json, "Expect: something"]), 417, "WRONG_PARAMETER"),
            (put(String(repeating: " ", count: 65_537)), 413, "WRONG_PARAMETER"),
            (WireRequest("PUT", product + "?" + String(repeating: "a", count: 9_000)).bytes, 414, "WRONG_PARAMETER"),
            (put(fields: [bearer, "A: " + String(repeating: "a", count: 17_000)]), 431, "WRONG_PARAMETER"),
            (put(target: "/api/v3/1003/products/%zz/inventory"), 400, "WRONG_PARAMETER"),
            (put(target: "\(product)?a=%zz"), 400, "WRONG_PARAMETER"),
        ])
    func layers(request: String, status: Int, code: String) throws {
        let answer = try TestGateway().answer(request)
        #expect(answer.status == status)
        #expect(answer.body.hasPrefix(#"{"errorMessage":""#) && answer.body.hasSuffix(#"","errorCode":"\#(code)"}"#))
        #expect(answer["Content-Type"] == "application/json; charset=utf-8")
    }

    @Test("a server that is full answers 429, which clients try again")
    func full() {
        let response = EcwidAPI(VendorSettings()).errorStyle(HTTPFailure(.serviceUnavailable, "Full."))
        #expect(response.status == .tooManyRequests)
        #expect(response.fields == ResponseFields.json.adding("Retry-After", "1"))
        #expect(
            String(decoding: response.body, as: UTF8.self) == #"{"errorMessage":"Full.","errorCode":"RATE_LIMITED"}"#)
    }

    @Test("H27: no token is in a description or an error")
    func secrets() throws {
        let target = "\(Self.product)?token=secret_zzz"
        for request in [
            Self.put("{", target: target, fields: [Self.json]), Self.put(target: target, fields: [Self.bearer]),
            WireRequest("GET", target).bytes,
        ] {
            let answer = try TestGateway(failing: .invalidCredential).answer(request)
            #expect(answer.status >= 400 && !"\(answer)".contains("secret_"))
        }
        let call = try TestGateway().stockCall(
            Self.put(target: target, fields: [Self.json, "X-Ecwid-Api-Request-Id: 12345678"]))
        #expect(!"\(call)".contains("secret_") && !String(reflecting: call).contains("secret_"))
        var dumped = ""
        dump(call, to: &dumped)
        #expect(!dumped.contains("secret_"))
    }
}
