import HTTPServer
import StockGateway
import StockModel
import Testing

/// M24: the calls of Elastic Path that read stock and history, and that create and remove stock.
@Suite struct ElasticPathStockTests {
    private static let fields = ["Authorization: Bearer t", "Content-Type: application/json"]
    private static let multiLocation = fields + ["EP-Inventories-Multi-Location: true"]
    private static let notFound =
        #"{"errors":[{"title":"Not Found","status":404,"detail":"The resource could not be found"}]}"#

    private static func get(_ target: String, _ fields: [String] = fields) -> String {
        WireRequest("GET", target, fields).bytes
    }

    private static func post(_ target: String, _ body: String, _ fields: [String] = fields) -> String {
        WireRequest("POST", target, fields, body).bytes
    }

    private static func level(_ item: String, _ onHand: Int64, allocated: Int64 = 0) -> StockLevel {
        StockLevel(
            item: item, [.init("main", Balance(onHand: onHand, allocated: allocated))], createdAt: someTime,
            updatedAt: someTime)
    }

    private static func query(_ bytes: String) throws -> LevelQuery {
        guard case .levels(let query, _) = try TestGateway().plan(bytes) else { throw TestError("another call") }
        return query
    }

    // MARK: stock

    @Test("the stock of a product")
    func one() throws {
        let request = Self.get("/v2/inventories/a")
        let query = try Self.query(request)
        #expect(query.selection == .items(["a"]) && query.locationID == "main" && query.access.scopes == [.readCatalog])
        var gateway = TestGateway()
        #expect(try gateway.answer(request).body == Self.notFound)
        gateway.levels = .success(Listing([Self.level("a", 20, allocated: 3)], total: 1))
        #expect(
            try gateway.answer(request).body
                == #"{"data":{"id":"a","type":"stock","total":20,"available":17,"allocated":3}}"#)
        let head = try gateway.answer(WireRequest("HEAD", "/v2/inventories/a", Self.fields).bytes)
        #expect(head.status == 200 && head["Content-Length"] == "74")
        #expect(try TestGateway(failing: .invalidCredential).answer(request).status == 401)
    }

    @Test("M28: the stock of a product at its locations")
    func locations() throws {
        let request = Self.get("/v2/inventories/a", Self.multiLocation)
        #expect(try Self.query(request).locationID == nil)
        var level = Self.level("a", 20, allocated: 3)
        level.locations.append(.init("north", Balance(onHand: 5)))
        var gateway = TestGateway()
        gateway.levels = .success(Listing([level], total: 1))
        #expect(
            try gateway.answer(request).body
                == #"{"data":{"id":"a","type":"stock","attributes":{"product_id":"a","total":25,"available":22,"allocated":3,"#
                + #""locations":{"main":{"total":20,"available":17,"allocated":3},"#
                + #""north":{"total":5,"available":5,"allocated":0}}},"#
                + #""meta":{"timestamps":{"created_at":"2018-05-01T10:10:57.000000Z","#
                + #""updated_at":"2018-05-01T10:10:57.000000Z"}}}}"#)
    }

    @Test("the stock of several products is in the order of the request, without those that do not exist")
    func multiple() throws {
        let request = Self.post("/v2/inventories/multiple", #"{"data":[{"id":"b"},{"id":"x"},{"id":"a"},{"id":"b"}]}"#)
        let query = try Self.query(request)
        // A read: also a token that can only read may ask.
        #expect(query.selection == .items(["b", "x", "a"]) && query.access.scopes == [.readCatalog])
        var gateway = TestGateway()
        gateway.levels = .success(Listing([Self.level("a", 1), Self.level("b", 2)], total: 2))
        #expect(
            try gateway.answer(request).body
                == #"{"data":[{"id":"b","type":"stock","total":2,"available":2,"allocated":0},"#
                + #"{"id":"a","type":"stock","total":1,"available":1,"allocated":0}]}"#)
        for body in ["{}", #"{"data":{}}"#, #"{"data":[1]}"#, #"{"data":[{}]}"#, #"{"data":[{"id":1}]}"#] {
            #expect(try gateway.answer(Self.post("/v2/inventories/multiple", body)).status == 400)
        }
    }

    @Test("the list of all stock has links and meta; brackets in the query are plain or escaped")
    func list() throws {
        for query in ["page[limit]=2&page[offset]=2", "page%5Blimit%5D=2&page%5Boffset%5D=2"] {
            let request = Self.get("/v2/inventories?\(query)")
            #expect(try Self.query(request).selection == .page(Page(offset: 2, limit: 2)))
            var gateway = TestGateway()
            gateway.levels = .success(Listing([Self.level("a", 1), Self.level("b", 1)], total: 5))
            #expect(
                try gateway.answer(request).body
                    == #"{"data":[{"id":"a","type":"stock","total":1,"available":1,"allocated":0},"#
                    + #"{"id":"b","type":"stock","total":1,"available":1,"allocated":0}],"#
                    + #""links":{"current":"/v2/inventories?page[offset]=2&page[limit]=2","#
                    + #""first":"/v2/inventories?page[offset]=0&page[limit]=2","#
                    + #""last":"/v2/inventories?page[offset]=4&page[limit]=2","#
                    + #""prev":"/v2/inventories?page[offset]=0&page[limit]=2","#
                    + #""next":"/v2/inventories?page[offset]=4&page[limit]=2"},"#
                    + #""meta":{"results":{"total":2,"all":5},"page":{"limit":2,"offset":2,"current":2,"total":3}}}"#)
        }
        #expect(try Self.query(Self.get("/v2/inventories")).selection == .page(Page(offset: 0, limit: 100)))
        for query in ["page[limit]=0", "page[limit]=1001", "page[limit]=x", "page[offset]=-1", "page[offset]=+1"] {
            #expect(try TestGateway().answer(Self.get("/v2/inventories?\(query)")).status == 400)
        }
    }

    // MARK: history

    private static let entries = [
        HistoryEntry(.opening, .opening, location: "main", quantity: 5, at: someTime),
        HistoryEntry(.job(1), .job(.adjust), location: "main", quantity: 3, at: someTime + 1_500_000),
        HistoryEntry(.job(2), .job(.adjust), location: "main", quantity: -2, at: someTime),
        HistoryEntry(.job(3), .job(.allocate), location: "main", quantity: 4, at: someTime),
        HistoryEntry(.job(4), .job(.ship), location: "main", quantity: 1, at: someTime),
        HistoryEntry(.job(5), .job(.set), location: "main", quantity: 9, at: someTime),
    ]

    private static func history(_ bytes: String) throws -> HistoryQuery {
        guard case .history(let query, _) = try TestGateway().plan(bytes) else { throw TestError("another call") }
        return query
    }

    @Test("the transactions of a product begin with its creation, in the vendor's words")
    func transactions() throws {
        let request = Self.get("/v2/inventories/a/transactions")
        let query = try Self.history(request)
        #expect(query.itemID == "a" && query.locationID == "main" && query.access.scopes == [.readCatalog])
        var gateway = TestGateway()
        #expect(try gateway.answer(request).body == Self.notFound)
        gateway.history = .success(Listing(Self.entries, total: 6))
        let body = try gateway.answer(request).body
        let shown = [
            ("create", 5), ("increment", 3), ("decrement", 2), ("allocate", 4), ("ship", 1), ("set", 9),
        ]
        let expected = zip(Self.entries, shown).map { entry, shown in
            let second = entry.id == .job(1) ? "58" : "57"
            return #"{"id":"\#(TransactionID.text(entry.id))","type":"stock-transaction","action":"\#(shown.0)","#
                + #""product_id":"a","quantity":\#(shown.1),"timestamps":{"created_at":"2018-05-01 10:10:\#(second) +0000 UTC"}}"#
        }
        #expect(body.hasPrefix("{\"data\":[\(expected.joined(separator: ","))],\"links\":{"))
        #expect(
            body.hasSuffix(
                #""meta":{"results":{"total":6,"all":6},"page":{"limit":100,"offset":0,"current":1,"total":1}}}"#))
    }

    @Test("a transaction is found by its id; other ids are unknown")
    func transaction() throws {
        let request = Self.get("/v2/inventories/a/transactions/\(TransactionID.text(.job(1)))")
        #expect(try Self.history(request).selection == .entry(.job(1)))
        var gateway = TestGateway()
        gateway.history = .success(Listing([], total: 0))
        #expect(try gateway.answer(request).body == Self.notFound)
        gateway.history = .success(Listing([Self.entries[1]], total: 1))
        #expect(
            try gateway.answer(request).body
                == #"{"data":{"id":"\#(TransactionID.text(.job(1)))","type":"stock-transaction","action":"increment","#
                + #""product_id":"a","quantity":3,"timestamps":{"created_at":"2018-05-01 10:10:58 +0000 UTC"}}}"#)
        let other = Self.get("/v2/inventories/a/transactions/da9a0008-d2c4-4a17-bbc6-5e0b2f9430aa")
        #expect(try TestGateway().answer(other).body == Self.notFound)
        #expect(try TestGateway(failing: .invalidCredential).answer(other).status == 401)
    }

    // MARK: creation and removal

    private static func itemCall(_ bytes: String) throws -> ItemCall {
        guard case .item(let call, _) = try TestGateway().plan(bytes) else { throw TestError("another call") }
        return call
    }

    @Test("a product's stock is created with its quantity")
    func creation() throws {
        let request = Self.post("/v2/inventories/a", #"{"data":{"quantity":20}}"#)
        let call = try Self.itemCall(request)
        #expect(call.change == .create(onHand: ["main": 20]) && call.access.scopes == [.manageItems])
        var gateway = TestGateway()
        gateway.item = .success(.created(Self.level("a", 20)))
        let answer = try gateway.answer(request)
        #expect(answer.status == 201)
        #expect(answer.body == #"{"data":{"id":"a","type":"stock","total":20,"available":20,"allocated":0}}"#)
        gateway.item = .success(.exists)
        #expect(try gateway.answer(request).status == 400)
        for quantity in ["-1", "1.5", "\"1\"", "null"] {
            #expect(
                try gateway.answer(Self.post("/v2/inventories/a", #"{"data":{"quantity":\#(quantity)}}"#)).status == 400
            )
        }
    }

    @Test("M28: stock is created at locations")
    func creationAtLocations() throws {
        func change(_ attributes: String) throws -> ItemCall.Change {
            let body = #"{"data":{"type":"stock","attributes":{\#(attributes)}}}"#
            return try Self.itemCall(Self.post("/v2/inventories/a", body, Self.multiLocation)).change
        }
        #expect(
            try change(#""locations":{"n":{"available":1},"s":{"available":2}}"#) == .create(onHand: ["n": 1, "s": 2]))
        #expect(try change(#""available":3"#) == .create(onHand: ["main": 3]))
        for body in [#"{"data":{"quantity":20}}"#, #"{"data":{"attributes":{}}}"#] {
            #expect(try TestGateway().answer(Self.post("/v2/inventories/a", body, Self.multiLocation)).status == 400)
        }
    }

    @Test("stock that is no longer managed is 204, unknown stock 404")
    func removal() throws {
        let request = WireRequest("DELETE", "/v2/inventories/a", Self.fields).bytes
        #expect(try Self.itemCall(request).change == .remove)
        var gateway = TestGateway()
        #expect(try gateway.answer(request).body == Self.notFound)
        gateway.item = .success(.removed)
        let answer = try gateway.answer(request)
        #expect(answer.status == 204 && answer.body == "" && answer["Content-Length"] == nil)
        #expect(try TestGateway(failing: .missingScope).answer(request).status == 403)
    }

    // MARK: what is not served

    @Test(
        "the registry of locations, and methods that the vendor has for it alone, have errors",
        arguments: [
            ("GET", "/v2/inventories/locations", 404), ("POST", "/v2/inventories/locations", 404),
            ("GET", "/v2/inventories/locations/a", 404), ("PUT", "/v2/inventories/a", 405),
            ("POST", "/v2/inventories", 405),
            ("DELETE", "/v2/inventories/locations", 405), ("GET", "/v2/inventories/multiple", 405),
        ])
    func unserved(method: String, target: String, status: Int) throws {
        let answer = try TestGateway().answer(WireRequest(method, target, Self.fields).bytes)
        #expect(answer.status == status && answer.body.hasPrefix(#"{"errors":[{"#))
    }
}
