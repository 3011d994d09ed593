import HTTPServer
import StockGateway
import StockModel
import Testing

/// Ecwid's batches: a ticket first, answers later.
@Suite struct EcwidBatchTests {
    private static func post(_ body: String, query: String = "") -> String {
        WireRequest(
            "POST", "/api/v3/1003/batch\(query)", ["Authorization: Bearer t", "Content-Type: application/json"], body
        ).bytes
    }

    private static func get(_ query: String) -> String {
        WireRequest("GET", "/api/v3/1003/batch?\(query)", ["Authorization: Bearer t"]).bytes
    }

    private static func call(_ request: String) throws -> BatchCall {
        guard case .batch(let call, _) = try TestGateway().plan(request) else { throw TestError("not a batch") }
        return call
    }

    private static let items = #"""
        [{"id":"a","path":"products/1/inventory?checkLowStockNotification=true","method":"PUT","body":"{\"quantityDelta\":-1}"},
         {"path":"/products/1/combinations/2/inventory","method":"PUT","body":{"quantityDelta":2.0}},
         {"id":7,"path":"/profile","method":"GET","body":""}]
        """#

    @Test("a batch is parsed with its options and its items")
    func parsing() throws {
        let call = try Self.call(
            Self.post(
                Self.items, query: "?stopOnFirstFailure=false&allowParallelMode=true&deduplicationKey=u&groupId=g"))
        #expect(!call.stopsOnFailure && call.isParallel && call.deduplicationKey == "u" && call.groupID == "g")
        #expect(call.items.map(\.id) == ["a", "1", "7"])
        #expect(call.items[1].body == Array(#"{"quantityDelta":2.0}"#.utf8))
        let plain = try Self.call(Self.post(Self.items))
        #expect(plain.stopsOnFailure && !plain.isParallel && plain.deduplicationKey == nil)
    }

    @Test("an item of a batch is planned like the same call alone")
    func plans() throws {
        let call = try Self.call(Self.post(Self.items))
        let plans = call.items.map { EcwidBatch.plan($0, of: call, settings: VendorSettings()) }
        guard case .stock(let first, _) = plans[0], case .stock(let second, _) = plans[1],
            case .access(let third, _) = plans[2]
        else { throw TestError("other plans") }
        #expect(first.lines[0].itemID == "1" && first.lines[0].quantity == -1 && first.lines[0].notify)
        #expect(second.lines[0].role == .variation(of: "1") && second.lines[0].quantity == 2)
        #expect(second.access.scopes == [.readCatalog, .updateCatalog] && second.access.caller == call.access.caller)
        #expect(third.store == .named("1003"))
    }

    @Test(
        "an item with a fault has an answer",
        arguments: [
            ("GET", "products/1/inventory", 405), ("PUT", "orders/1", 404), ("PUT", "products/1/inventory", 400),
        ])
    func faults(method: String, path: String, status: Int) throws {
        let call = try Self.call(Self.post(#"[{"path":"\#(path)","method":"\#(method)","body":"{}"}]"#))
        let plan = EcwidBatch.plan(call.items[0], of: call, settings: VendorSettings())
        #expect(TestGateway().respond(plan).status.code == status)
    }

    @Test("the answer to a batch is its ticket")
    func ticket() throws {
        var gateway = TestGateway()
        gateway.batch = .success("11d140a2-966f-4a9f-b4e6-fc451bc78979")
        #expect(try gateway.answer(Self.post(Self.items)).body == #"{"ticket":"11d140a2-966f-4a9f-b4e6-fc451bc78979"}"#)
        #expect(try TestGateway(failing: .invalidCredential).answer(Self.post(Self.items)).status == 403)
    }

    @Test(
        "a batch that is no list of requests is 400",
        arguments: [
            "{}", "[]", "[1]", #"[{"path":"","method":"PUT"}]"#, #"[{"path":"a"}]"#, #"[{"method":"PUT"}]"#,
            #"[{"id":{},"path":"a","method":"PUT"}]"#,
        ])
    func wrongBodies(body: String) throws {
        let answer = try TestGateway().answer(Self.post(body))
        #expect(answer.status == 400 && answer.body.hasSuffix(#","errorCode":"WRONG_PARAMETER"}"#))
    }

    @Test("a batch of 500 requests is accepted, of 501 not")
    func limit() throws {
        func batch(_ count: Int) -> String {
            let item = #"{"path":"profile","method":"GET"}"#
            return Self.post("[" + Array(repeating: item, count: count).joined(separator: ",") + "]")
        }
        #expect(try Self.call(batch(500)).items.count == 500)
        #expect(try TestGateway().answer(batch(501)).status == 400)
    }

    @Test("progress has each answer, escaped if the client wishes")
    func progress() throws {
        var gateway = TestGateway()
        let done = Response.json(.ok, Array(#"{"updateCount":1}"#.utf8))
        gateway.ticket = .success(
            BatchProgress(
                .completed, total: 3, answers: [("a", done), ("b", Response.json(.notFound, [])), ("c", nil)]))
        #expect(
            try gateway.answer(Self.get("ticket=x&escapedJson=true")).body
                == #"{"status":"COMPLETED","totalRequests":3,"completedRequests":2,"responses":["#
                + #"{"id":"a","status":"COMPLETED","httpStatusCode":200,"httpStatusLine":"HTTP/1.1 200 OK","#
                + #""escapedHttpBody":"{\"updateCount\":1}"},"#
                + #"{"id":"b","status":"FAILED","httpStatusCode":404,"httpStatusLine":"HTTP/1.1 404 Not Found","#
                + #""escapedHttpBody":""},"#
                + #"{"id":"c","status":"NOT_EXECUTED","httpStatusCode":0,"httpStatusLine":"","escapedHttpBody":null}]}"#
        )
        let plain = try gateway.answer(Self.get("ticket=x")).body
        #expect(plain.contains(#""httpBody":{"updateCount":1}"#) && plain.contains(#""httpBody":null"#))
        gateway.ticket = .success(BatchProgress(.queued, total: 3, answers: []))
        #expect(
            try gateway.answer(Self.get("ticket=x")).body
                == #"{"status":"QUEUED","totalRequests":3,"completedRequests":0,"responses":[]}"#)
        gateway.ticket = .success(nil)
        #expect(try gateway.answer(Self.get("ticket=x")).status == 404)
        #expect(try gateway.answer(Self.get("escapedJson=true")).status == 400)
        #expect(try gateway.answer(Self.get("ticket=x&escapedJson=maybe")).status == 400)
    }
}
