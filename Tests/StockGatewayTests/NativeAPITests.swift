import HTTPServer
import StockFormats
import StockGateway
import StockModel
import Testing

/// The native API besides its jobs: the document, tokens, errors, items, notifications.
@Suite("Native API") struct NativeAPITests {
    private static let token = "Authorization: Bearer t"

    private static func get(_ path: String, _ fields: [String] = []) -> String {
        WireRequest("GET", "/v1/stores/s/\(path)", [token] + fields).bytes
    }

    private static func query(_ request: String) throws -> NativeQuery {
        guard case .native(let query, _) = try TestGateway().plan(request) else { throw TestError("no query") }
        return query
    }

    private static func members(_ value: JSONValue?) throws -> [JSONMember] {
        guard case .object(let members)? = value else { throw TestError("no object") }
        return members
    }

    // MARK: the document

    private static let document = Result { try JSONReader.read(NativeAPI.document[...]) }

    @Test("the OpenAPI document and the routes have the same operations") func routesAndDocument() throws {
        let document = try Self.document.get()
        var documented: Set<String> = []
        for path in try Self.members(document["paths"]) {
            for member in try Self.members(path.value) where member.key != "parameters" {
                documented.insert("\(member.key.uppercased()) \(path.key)")
            }
        }
        let routes = NativeAPI(VendorSettings()).routes.map { "\($0.method) \($0.pattern)" }
        #expect(Set(routes) == documented && routes.count == documented.count)
        #expect(document["openapi"] == "3.1.0")
    }

    @Test("every reference of the document leads somewhere, and every operation has another id") func references()
        throws
    {
        let document = try Self.document.get()
        var references: [String] = []
        var linked: Set<String> = []
        func walk(_ value: JSONValue) {
            switch value {
            case .object(let members):
                for member in members {
                    if member.key == "$ref", case .string(let text) = member.value { references.append(text) }
                    if member.key == "operationId", case .string(let text) = member.value { linked.insert(text) }
                    walk(member.value)
                }
            case .array(let elements): elements.forEach(walk)
            default: break
            }
        }
        walk(document)
        var ids: [JSONValue] = []
        for path in try Self.members(document["paths"]) {
            ids += try Self.members(path.value).compactMap { $0.value["operationId"] }
        }
        #expect(Set(ids).count == ids.count && ids.count == NativeAPI(VendorSettings()).routes.count)
        #expect(Set(ids) == Set(linked.map { JSONValue.string($0) }))
        for reference in Set(references) {
            let end = reference.split(separator: "/").dropFirst().reduce(document as JSONValue?) { $0?[String($1)] }
            #expect(end != nil, "\(reference)")
        }
    }

    @Test("the schemas of requests have the fields of the tables") func fields() throws {
        let schemas = try Self.document.get()["components"]?["schemas"]
        let jobs = try Self.members(schemas?["JobRequest"]?["properties"]).map(\.key)
        #expect(jobs == JobField.allCases.map(\.rawValue).filter { $0 != "store_id" })
        #expect(schemas?["JobRequest"]?["required"] == ["item_id", "quantity"])
        #expect(schemas?["JobRequest"]?["properties"]?["priority"]?["default"] == 2)
        let items = try Self.members(schemas?["ItemRequest"]?["properties"]).map(\.key)
        #expect(items == ItemField.allCases.map(\.rawValue).filter { $0 != "store_id" })
        #expect(schemas?["Submission"]?["properties"]?["jobs"]?["maxItems"] == .integer(VendorSettings().linesMax))
    }

    @Test("the document is served without a token, and so is the meaning of each type of problems") func publicPaths()
        throws
    {
        let answer = try TestGateway().answer(WireRequest("GET", "/v1/openapi.json").bytes)
        #expect(answer.status == 200 && Array(answer.body.utf8) == NativeAPI.document)
        for type in ProblemType.allCases {
            let answer = try TestGateway().answer(WireRequest("GET", type.uri).bytes)
            #expect(answer.status == 200 && answer.body.hasPrefix(#"{"type":"\#(type.uri)""#))
        }
        #expect(try TestGateway().answer(WireRequest("GET", "/v1/problems/x").bytes).status == 404)
    }

    // MARK: tokens, errors and ids of requests

    @Test(
        "a call without a bearer token is 401",
        arguments: [
            [], ["Authorization: t"], ["Authorization: Bearer"], ["Authorization: Basic dDp0"],
            ["Authorization: Bearer a", "Authorization: Bearer b"],
        ]) func withoutToken(fields: [String]) throws
    {
        for route in NativeAPI(VendorSettings()).routes where route.pattern.description.contains("{store_id}") {
            let path = route.pattern.description.split(separator: "/").map { $0.hasPrefix("{") ? "1" : $0 }
            let answer = try TestGateway().answer(
                WireRequest("\(route.method)", "/" + path.joined(separator: "/"), fields, "{}").bytes)
            #expect(answer.status == 401 && answer["WWW-Authenticate"]?.hasPrefix("Bearer") == true, "\(answer)")
            #expect(answer.body.hasPrefix(#"{"type":"/v1/problems/invalid_token""#))
        }
        // The token of a query would be in the logs of proxies.
        #expect(try TestGateway().answer(WireRequest("GET", "/v1/stores/s/items?token=t").bytes).status == 401)
    }

    @Test(
        "each failure has a status and a type",
        arguments: [
            (.invalidCredential, 401, "invalid_token"), (.missingScope, 403, "missing_scope"),
            (.unknownStore, 404, "unknown_store"), (.unknownItem(line: 0), 404, "not_found"),
            (.overLimit(retryAfterSeconds: 7), 429, "over_limit"),
            (.storeLimit(retryAfterSeconds: 7), 429, "store_limit"), (.callLimit, 409, "call_limit"),
            (.unavailable(retryAfterSeconds: 7), 503, "unavailable"), (.undecided, 503, "undecided"),
            (.idempotencyMismatch, 422, "idempotency_mismatch"), (.timeLimit(line: 0), 409, "time_limit"),
            (.unlistedReason(line: 0, allowed: "damaged, other"), 409, "unlisted_reason"),
            (.internalError, 500, "internal_error"),
        ] as [(CallFailure, Int, String)]) func failures(failure: CallFailure, status: Int, type: String) throws
    {
        let job = WireRequest(
            "POST", "/v1/stores/s/jobs", [Self.token, "Content-Type: application/json"],
            #"{"item_id":"a","quantity":1}"#
        ).bytes
        for request in [job, Self.get("items")] {
            let answer = try TestGateway(failing: failure).answer(request)
            #expect(answer.status == status && answer["Content-Type"] == "application/problem+json", "\(answer)")
            #expect(answer.body.hasPrefix(#"{"type":"/v1/problems/\#(type)","title":""#))
            #expect((answer["Retry-After"] != nil) == [429, 503].contains(status))
        }
    }

    @Test("errors of the router are problem documents with a Request-Id") func routerErrors() throws {
        for (method, target, status, type) in [
            ("GET", "/v1/nothing", 404, "not_found"), ("PUT", "/v1/stores/s/items", 405, "method_not_allowed"),
            ("GET", "/v1/stores/%ff/items", 400, "http_error"),
        ] {
            let answer = try TestGateway().answer(WireRequest(method, target, [Self.token]).bytes)
            #expect(answer.status == status && answer.body.contains(#""type":"/v1/problems/\#(type)""#), "\(answer)")
            #expect(answer["Request-Id"]?.utf8.count == 16)
        }
        let large = try TestGateway().answer(
            "POST /v1/stores/s/jobs HTTP/1.1\r\nHost: x\r\n\(Self.token)\r\nContent-Length: 9999999\r\n\r\n")
        #expect(large.status == 413 && large["Content-Type"] == "application/problem+json")
        let form = try TestGateway().answer(
            WireRequest("POST", "/v1/stores/s/jobs", [Self.token, "Content-Type: text/plain"], "{}").bytes)
        #expect(form.status == 415)
    }

    @Test("an answer has the Request-Id of its request, or a new one; the vendors' answers have none") func requestIDs()
        throws
    {
        let given = try TestGateway().answer(Self.get("items", ["Request-Id: order-7"]))
        #expect(given["Request-Id"] == "order-7")
        let first = try TestGateway().answer(Self.get("items", ["Request-Id: a b"]))["Request-Id"]
        let second = try TestGateway().answer(Self.get("items"))["Request-Id"]
        #expect(first?.utf8.count == 16 && second?.utf8.count == 16 && first != second)
        let vendor = WireRequest("POST", "/v1/products/stock-quantity?store_id=s", [], "[]").bytes
        #expect(try TestGateway().answer(vendor)["Request-Id"] == nil)
    }

    @Test(
        "a parameter that is unknown, given twice or not valid is 400 with its name",
        arguments: [
            ("items?limits=5", "limits"), ("items?limit=0", "limit"), ("items?limit=1001", "limit"),
            ("items?limit=+5", "limit"), ("items?limit=5&limit=5", "limit"), ("items?after=", "after"),
            ("items/a/stock?at=now", "at"), ("items/a?location_id=%20a", "location_id"), ("jobs/5?x=1", "x"),
            ("notifications?after=5:", "after"), ("notifications?after=-5", "after"),
        ]) func parameters(path: String, name: String) throws
    {
        let answer = try TestGateway().answer(Self.get(path))
        #expect(answer.status == 400 && answer.body.contains(#""errors":[{"parameter":"\#(name)""#), "\(answer)")
    }

    // MARK: items

    @Test("items are read with the scope for it") func itemQueries() throws {
        let cases: [(String, NativeQuery.Subject)] = [
            ("items", .items(ItemFilter(limit: 100))),
            (
                "items?after=a&location_id=l&parent_id=p&limit=5",
                .items(ItemFilter(after: "a", location: "l", parent: "p", limit: 5))
            ), ("items/a%2Fb", .item("a/b", location: nil)), ("items/a?location_id=l", .item("a", location: "l")),
            ("items/a/history?limit=5", .movements(item: "a", location: "main", limit: 5)),
            ("items/a/stock", .stock(item: "a", location: "main", at: nil)),
            ("items/a/stock?at=2000-01-01T00:00:01Z", .stock(item: "a", location: "main", at: 1_000_000)),
        ]
        for (path, subject) in cases {
            let query = try Self.query(Self.get(path))
            #expect(query.subject == subject && query.access.scopes == [.readCatalog], "\(path)")
        }
    }

    @Test("a full page of items has the path of the next one") func pages() throws {
        var gateway = TestGateway()
        gateway.native = .success(
            NativeRows(
                [("a", 1), ("a", 2), ("b c", 3)].map { id, number in
                    var row = NativeRows.Row("\(number)")
                    row.itemID = id
                    return row
                }))
        #expect(
            try gateway.answer(Self.get("items?limit=2&location_id=l")).body
                == #"{"items":[1,2,3],"next":"/v1/stores/s/items?after=b%20c&location_id=l&limit=2"}"#)
        #expect(try gateway.answer(Self.get("items?limit=3")).body == #"{"items":[1,2,3]}"#)
    }

    @Test("an item is created with its opening stock, once") func creation() throws {
        let body = #"{"item_id":"a b","on_hand":5,"parent_id":"p","tracked":false,"low_stock_threshold":2}"#
        let request = WireRequest("POST", "/v1/stores/s/items", [Self.token], body).bytes
        var item = ItemRequest(store: "s", item: "a b", onHand: 5)
        item.parentID = "p"
        item.isTracked = false
        item.lowStockThreshold = 2
        let query = try Self.query(request)
        #expect(query.subject == .createItem(item) && query.access.scopes == [.manageItems])
        #expect(try TestGateway().answer(request).status == 409)
        var gateway = TestGateway()
        gateway.native = .success(NativeRows([NativeRows.Row("{}")]))
        let answer = try gateway.answer(request)
        #expect(answer.status == 201 && answer["Location"] == "/v1/stores/s/items/a%20b")
        let negative = WireRequest("POST", "/v1/stores/s/items", [Self.token], #"{"item_id":"a","on_hand":"5"}"#).bytes
        #expect(try TestGateway().answer(negative).status == 400)
    }

    @Test("attributes of an item change, and a null empties one") func change() throws {
        func patch(_ body: String) -> String {
            WireRequest(
                "PATCH", "/v1/stores/s/items/a?location_id=l",
                [Self.token, "Content-Type: application/merge-patch+json"], body
            ).bytes
        }
        var change = ItemChange(item: "a", location: "l")
        change.lowStockThreshold = 3
        change.isTracked = true
        change.cleared = ["parent_id"]
        let query = try Self.query(patch(#"{"low_stock_threshold":3,"tracked":true,"parent_id":null}"#))
        #expect(query.subject == .changeItem(change) && query.access.scopes == [.manageItems])
        #expect(try TestGateway().answer(patch("{}")).status == 404)
        #expect(try TestGateway().answer(patch(#"{"tracked":null}"#)).status == 400)
        #expect(try TestGateway().answer(patch(#"{"on_hand":5}"#)).status == 400)
    }

    // MARK: notifications

    @Test("notifications are read after a cursor, which is in the answer") func notifications() throws {
        #expect(
            try Self.query(Self.get("notifications?after=1204-57&limit=5")).subject
                == .notifications(after: "1204-57", limit: 5))
        var gateway = TestGateway()
        gateway.native = .success(NativeRows([NativeRows.Row("{}")], cursor: "58"))
        #expect(try gateway.answer(Self.get("notifications")).body == #"{"notifications":[{}],"cursor":"58"}"#)
    }

    @Test("a stream begins at the Last-Event-ID, or at the parameter, or with what is to come") func stream() throws {
        let cases: [(String, [String], String?)] = [
            ("notifications/stream", [], nil), ("notifications/stream?after=5", [], "5"),
            ("notifications/stream?after=5", ["Last-Event-ID: 1204-7"], "1204-7"),
        ]
        for (path, fields, cursor) in cases {
            guard case .events(let query, let head, _) = try TestGateway().plan(Self.get(path, fields)) else {
                throw TestError("no stream")
            }
            #expect(query.cursor == cursor && query.access.scopes == [.readCatalog])
            #expect(head.fields.value(of: "Content-Type") == "text/event-stream")
        }
        let wrong = try TestGateway().answer(Self.get("notifications/stream", ["Last-Event-ID: x"]))
        #expect(wrong.status == 400 && wrong.body.contains(#""header":"Last-Event-ID""#))
        let head = try TestGateway().answer(
            WireRequest("HEAD", "/v1/stores/s/notifications/stream", [Self.token]).bytes)
        #expect(head.status == 200 && head["Content-Type"] == "text/event-stream")
    }

    @Test("an event has a cursor as its id, and its data is one line") func events() {
        #expect(NotificationEvents.event("{}", cursor: "5") == Array("id: 5\ndata: {}\n\n".utf8))
        #expect(NotificationEvents.opening(cursor: "4") == Array("retry: 1000\nid: 4\n\n".utf8))
    }
}
