import HTTPServer
import StockFormats
import StockModel

/// `POST …/batch`: up to 500 calls that are executed later, and `GET …/batch`: how far they are.
package enum EcwidBatch {
    private enum Action: Sendable {
        case adjust(EcwidAdjustment.Target)
        case profile
    }

    /// The calls that a batch can have, relative to the store.
    private static let router: Router<Action> = {
        var router = Router<Action>()
        for target in EcwidAdjustment.Target.allCases {
            router.add(.put, PathPattern(target.relativePattern), coding: .form, .adjust(target))
        }
        router.add(.get, "/profile", coding: .form, .profile)
        return router
    }()

    private static let keyBytesMax = 200

    // MARK: creation

    static func plan(_ request: Request, _ access: Access, itemsMax: Int) throws(InvalidField) -> CallPlan {
        guard case .array(let elements) = try JSONBody.read(request.body), !elements.isEmpty else {
            throw InvalidField(nil, "must be a JSON array of requests")
        }
        guard elements.count <= itemsMax else { throw InvalidField(nil, "has more than \(itemsMax) requests") }
        var items: [BatchCall.Item] = []
        for (index, element) in elements.enumerated() { items.append(try item(element, index)) }
        let query = request.head.query
        let call = BatchCall(
            access, items, stopsOnFailure: try flag("stopOnFirstFailure", query) ?? true,
            isParallel: try flag("allowParallelMode", query) ?? false,
            deduplicationKey: try key("deduplicationKey", query), groupID: try key("groupId", query))
        return .batch(call) { answer in
            switch answer {
            case .failure(let failure): return EcwidError(failure, .unknownProduct).response
            case .success(let ticket):
                var json = JSONWriter()
                json.object { json in
                    json.key("ticket")
                    json.string(ticket)
                }
                return .json(.ok, json.bytes)
            }
        }
    }

    private static func item(_ element: JSONValue, _ index: Int) throws(InvalidField) -> BatchCall.Item {
        guard case .object = element else { throw InvalidField("$[\(index)]", "expected an object") }
        let id: String
        switch element["id"] {
        case nil, .null: id = String(index)
        case .string(let text) where text.utf8.count <= keyBytesMax: id = text
        case .number(let number) where number.literal.utf8.count <= keyBytesMax: id = number.literal
        default: throw InvalidField("$[\(index)].id", "expected a text")
        }
        guard case .string(let path)? = element["path"], !path.isEmpty else {
            throw InvalidField("$[\(index)].path", "expected a text")
        }
        guard case .string(let method)? = element["method"] else {
            throw InvalidField("$[\(index)].method", "expected a text")
        }
        // Clients send the body as a text or as JSON.
        let body: [UInt8] =
            switch element["body"] {
            case nil, .null: []
            case .string(let text): Array(text.utf8)
            case .some(let value): Array(JSONWriter.text(of: value).utf8)
            }
        return BatchCall.Item(id: id, method: method, path: path, body: body)
    }

    private static func flag(_ name: String, _ query: QueryParameters) throws(InvalidField) -> Bool? {
        do { return try EcwidFlag.value(name, query) } catch {
            throw InvalidField(name, "expected one of 'true', 'false', 'yes', 'no', 'on', 'off', '1', '0'")
        }
    }

    private static func key(_ name: String, _ query: QueryParameters) throws(InvalidField) -> String? {
        guard let value = query[name] else { return nil }
        guard !value.isEmpty, value.utf8.count <= keyBytesMax, !value.utf8.contains(0) else {
            throw InvalidField(name, "expected 1 to \(keyBytesMax) bytes")
        }
        return value
    }

    // MARK: execution

    /// What an item of a batch amounts to. Its path may begin with a slash; the caller is that of the batch.
    package static func plan(_ item: BatchCall.Item, of batch: BatchCall, settings: VendorSettings) -> CallPlan {
        let parts = item.path.utf8.split(separator: UInt8(ascii: "?"), maxSplits: 1, omittingEmptySubsequences: false)
        let path = Array(parts[0])[...]
        switch router.match(HTTPMethod(item.method), path) {
        case .notFound, .malformed:
            return .respond(EcwidError(HTTPFailure(.notFound, "There is nothing at this path.")).response)
        case .methodNotAllowed:
            return .respond(EcwidError(HTTPFailure(.methodNotAllowed, "The path has other methods.")).response)
        case .found(.profile, _):
            return EcwidProfile.plan(Access(batch.access.caller, batch.access.store, []))
        case .found(.adjust(let target), let parameters):
            let query = QueryParameters(parts.count > 1 ? Array(parts[1])[...] : [])
            let access = Access(batch.access.caller, batch.access.store, target.scopes)
            let input = EcwidInput(query: query, body: item.body) { () throws(InvalidField) in .unguarded }
            do throws(InvalidField) {
                return try EcwidAdjustment.plan(target, parameters, input, access, deadlineMs: settings.deadlineMs)
            } catch {
                return .respond(EcwidError(error).response)
            }
        }
    }

    // MARK: progress

    static func planProgress(_ query: QueryParameters, _ access: Access) throws(InvalidField) -> CallPlan {
        guard let ticket = try key("ticket", query) else { throw InvalidField.missing("ticket") }
        let escapes = try flag("escapedJson", query) ?? false
        return .ticket(TicketQuery(access, ticket: ticket)) { answer in
            switch answer {
            case .failure(let failure): return EcwidError(failure, .unknownProduct).response
            case .success(nil): return EcwidError(.notFound, "NOT_FOUND", "There is no such ticket.").response
            case .success(let progress?): return response(progress, escapes)
            }
        }
    }

    private static func response(_ progress: BatchProgress, _ escapes: Bool) -> Response {
        var json = JSONWriter()
        json.object { json in
            json.key("status")
            json.string(name(progress.state))
            json.key("totalRequests")
            json.integer(progress.total)
            json.key("completedRequests")
            json.integer(progress.answers.filter { $0.response != nil }.count)
            json.key("responses")
            json.array { json in
                for answer in progress.answers { write(answer.id, answer.response, escapes, &json) }
            }
        }
        return .json(.ok, json.bytes)
    }

    private static func name(_ state: BatchProgress.State) -> String {
        switch state {
        case .queued: "QUEUED"
        case .inProgress: "IN_PROGRESS"
        case .completed: "COMPLETED"
        }
    }

    private static func write(_ id: String, _ response: Response?, _ escapes: Bool, _ json: inout JSONWriter) {
        json.object { json in
            json.key("id")
            json.string(id)
            json.key("status")
            guard let response else { return writeUnexecuted(escapes, &json) }
            json.string(response.status.code < 400 ? "COMPLETED" : "FAILED")
            json.key("httpStatusCode")
            json.integer(response.status.code)
            json.key("httpStatusLine")
            json.string("HTTP/1.1 \(response.status.code) \(response.status.reasonPhrase)")
            let body = String(decoding: response.body, as: UTF8.self)
            json.key(escapes ? "escapedHttpBody" : "httpBody")
            if escapes { json.string(body) } else { json.encoded(body.isEmpty ? "null" : body) }
        }
    }

    /// Every member is there, since a client was seen to require them.
    private static func writeUnexecuted(_ escapes: Bool, _ json: inout JSONWriter) {
        json.string("NOT_EXECUTED")
        json.key("httpStatusCode")
        json.integer(0)
        json.key("httpStatusLine")
        json.string("")
        json.key(escapes ? "escapedHttpBody" : "httpBody")
        json.null()
    }
}
