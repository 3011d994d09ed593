import CommandLineKit
import Foundation
import HTTPServer
import StockModel
import StockQueue
import StockQueuePostgres

/// What a page asks for beside the snapshots: stories, searches, lists and checks.
///
/// Each is one statement of a session with a `statement_timeout`; lists of results and searches for references read the
/// newest jobs only.
struct DashboardQueries: Sendable {
    /// The newest jobs that are searched by what no index has.
    static let searchedJobs: Int64 = 1_000_000
    private static let rowsMax = 100
    private static let movementsMax = 500

    // MARK: stories

    static func job(_ call: Call) throws -> QueryThread.Query {
        guard let id = call.path.value("id", as: Int64.self) else { throw notFound("job") }
        return { connection, schema in
            json(try Inspector(connection: connection, schema: schema).jobStory(id))
        }
    }

    static func order(_ call: Call) throws -> QueryThread.Query {
        let query = call.request.head.query
        let (group, reference) = (value("group", query), value("reference", query))
        guard (group == nil) != (reference == nil) else {
            throw HTTPFailure(.badRequest, "name a group or a reference")
        }
        let store = value("store", query)
        return { connection, schema in
            json(
                try Inspector(connection: connection, schema: schema).orderStory(
                    store: store, group: group, reference: reference, searchedJobs: searchedJobs))
        }
    }

    static func item(_ call: Call) throws -> QueryThread.Query {
        let query = call.request.head.query
        guard let store = value("store", query), let item = value("item", query) else {
            throw HTTPFailure(.badRequest, "name a store and an item")
        }
        let key = ItemKey(store, item, location: value("location", query) ?? ItemKey.defaultLocation)
        let movements = try number("movements", query, 1...Int64(movementsMax)) ?? Int64(rowsMax)
        return { connection, schema in
            json(try Inspector(connection: connection, schema: schema).itemStory(key, movements: Int(movements)))
        }
    }

    static func search(_ call: Call) throws -> QueryThread.Query {
        let query = call.request.head.query
        guard let text = value("q", query), text.utf8.count <= 2_000 else {
            throw HTTPFailure(.badRequest, "search for a text of at most 2,000 bytes")
        }
        let store = value("store", query)
        return { connection, schema in
            json(try Inspector(connection: connection, schema: schema).search(text, store: store))
        }
    }

    /// What `stockq doctor` finds.
    static func checks(_ call: Call) throws -> QueryThread.Query {
        { connection, schema in
            let findings = try Doctor(connection: connection, schema: schema).findings(Doctor.Limits())
            let list = findings.map { JSON.object([("check", .string($0.check)), ("text", .string($0.text))]) }
            return json(JSON.object([("findings", .array(list))]).text)
        }
    }

    // MARK: lists

    static func jobs(_ call: Call) throws -> QueryThread.Query {
        var list = try jobList(call.request.head.query, limit: rowsMax)
        list.after = try number("after", call.request.head.query, 0...Int64.max)
        return rows(list)
    }

    static func results(_ call: Call) throws -> QueryThread.Query {
        let query = call.request.head.query
        let list = try resultList(query, limit: rowsMax)
        return { connection, schema in
            let inspector = Inspector(connection: connection, schema: schema)
            var list = list
            list.after = try inspector.firstOfNewest(searchedJobs)
            return json(
                #"{"searched_from":\#(list.after ?? 0),"rows":[\#(try inspector.rows(of: list).joined(separator: ","))]}"#
            )
        }
    }

    static func items(_ call: Call) throws -> QueryThread.Query {
        let query = call.request.head.query
        var list = ItemList(limit: rowsMax)
        (list.store, list.item) = (value("store", query), value("item", query))
        list.level = try label("level", query, AlertLevel.self)
        list.order = list.level == nil ? .key : .available
        return rows(list)
    }

    /// The filter of a list of queued or failed jobs.
    static func jobList(_ query: QueryParameters, limit: Int) throws -> JobList {
        var list = JobList(limit: limit)
        (list.store, list.item, list.location) = (
            value("store", query), value("item", query), value("location", query)
        )
        (list.group, list.reference) = (value("group", query), value("reference", query))
        list.state = try label("state", query, JobList.State.self)
        return list
    }

    /// The filter of a list of results.
    static func resultList(_ query: QueryParameters, limit: Int) throws -> ResultList {
        var list = ResultList(limit: limit)
        (list.store, list.item, list.location) = (
            value("store", query), value("item", query), value("location", query)
        )
        (list.group, list.reference) = (value("group", query), value("reference", query))
        list.outcome = try label("outcome", query, Outcome.self)
        list.code = try label("code", query, ResultCode.self)
        list.before = try number("before", query, 0...Int64.max)
        return list
    }

    private static func rows(_ list: some FilteredList) -> QueryThread.Query {
        { connection, schema in
            let rows = try Inspector(connection: connection, schema: schema).rows(of: list)
            return json(#"{"rows":[\#(rows.joined(separator: ","))]}"#)
        }
    }

    // MARK: values

    static func json(_ text: String) -> Response {
        Response(.ok, fields: DashboardFields.json, body: Array(text.utf8))
    }

    /// The value of a parameter; nil where it is missing or empty.
    static func value(_ name: String, _ query: QueryParameters) -> String? {
        query[name].flatMap { $0.isEmpty ? nil : $0 }
    }

    private static func number(_ name: String, _ query: QueryParameters, _ range: ClosedRange<Int64>) throws -> Int64? {
        guard let text = value(name, query) else { return nil }
        guard let number = Int64(text), range.contains(number) else {
            throw HTTPFailure(.badRequest, "\(name) is a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    private static func label<Label: RawRepresentable & CaseIterable>(
        _ name: String, _ query: QueryParameters, _ type: Label.Type
    ) throws -> Label? where Label.RawValue == String {
        guard let text = value(name, query) else { return nil }
        guard let label = Label(rawValue: text) else {
            let words = Label.allCases.map(\.rawValue).joined(separator: ", ")
            throw HTTPFailure(.badRequest, "\(name) is one of \(words)")
        }
        return label
    }

    private static func notFound(_ kind: String) -> HTTPFailure { HTTPFailure(.notFound, "there is no such \(kind)") }
}
