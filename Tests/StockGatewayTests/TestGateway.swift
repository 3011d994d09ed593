import HTTPServer
import StockGateway
import StockModel
import Testing

/// The vendors' calls without sockets and without a database: raw requests in, raw answers out. What the executor would
/// answer is given.
struct TestGateway {
    var settings = VendorSettings()
    var access: AccessAnswer = .success(AccessGrant(store: "1003"))
    var stock: StockAnswer = .success([])
    var levels: LevelAnswer = .success(Listing([], total: 0))
    var history: HistoryAnswer = .success(nil)
    var item: ItemAnswer = .success(.unknownItem)
    var token: TokenAnswer = .failure(.internalError)
    var batch: BatchAnswer = .failure(.internalError)
    var ticket: TicketAnswer = .success(nil)
    var submission: SubmissionAnswer = .success(.decided([]))
    var native: NativeAnswer = .success(NativeRows([]))
    var dryRun: DryRunAnswer = .success([])

    init() {}

    init(stock: StockAnswer) { self.stock = stock }

    /// Fails each kind of call.
    init(failing failure: CallFailure) {
        (access, stock, levels) = (.failure(failure), .failure(failure), .failure(failure))
        (history, item, token) = (.failure(failure), .failure(failure), .failure(failure))
        (batch, ticket) = (.failure(failure), .failure(failure))
        (submission, native, dryRun) = (.failure(failure), .failure(failure), .failure(failure))
    }

    var vendors: [any VendorAPI] {
        [EcwidAPI(settings), ProspernaAPI(settings), ElasticPathAPI(settings), NativeAPI(settings)]
    }

    private var handler: RouteHandler {
        var table = RouteTable()
        for vendor in vendors { table.add(vendor, UnusedExecutor()) }
        table.cors = CORSPolicy(origins: .any)
        table.onAnswer = { _ = RequestID.complete(&$0, $1) }
        return RouteHandler(table)
    }

    private var router: Router<VendorRoute> {
        var router = Router<VendorRoute>()
        for route in vendors.flatMap(\.routes) { router.add(route.method, route.pattern, coding: route.coding, route) }
        return router
    }

    func respond(_ plan: CallPlan) -> Response {
        switch plan {
        case .respond(let response): response
        case .access(_, let write): write(access)
        case .stock(_, let write): write(stock)
        case .levels(_, let write): write(levels)
        case .history(_, let write): write(history)
        case .item(_, let write): write(item)
        case .token(_, let write): write(token)
        case .batch(_, let write): write(batch)
        case .ticket(_, let write): write(ticket)
        case .submit(_, let write): write(submission)
        case .native(_, let write): write(native)
        case .dryRun(_, let write): write(dryRun)
        case .events(_, let head, _): head
        }
    }

    // MARK: raw requests

    /// The answers to the requests of one connection.
    func answers(_ bytes: String) throws -> [WireAnswer] {
        let (router, handler) = (router, handler)
        return try exchange(bytes, handler) { request in
            guard case .found(let route, let path) = router.match(request.head.method, request.head.path) else {
                throw TestError("no route for \(request.head.target)")
            }
            do { return respond(try route.plan(request, path)) } catch {
                return handler.response(to: error, request.head)
            }
        }
    }

    func answer(_ bytes: String) throws -> WireAnswer {
        let answers = try answers(bytes)
        return try #require(answers.first, "no answer")
    }

    /// What the one request of `bytes` amounts to.
    func plan(_ bytes: String) throws -> CallPlan {
        var plan: CallPlan?
        let router = router
        let answers = try exchange(bytes, handler) { request in
            guard case .found(let route, let path) = router.match(request.head.method, request.head.path) else {
                throw TestError("no route for \(request.head.target)")
            }
            plan = try route.plan(request, path)
            return Response(.noContent)
        }
        return try #require(plan, "answered without a plan: \(answers)")
    }

    func stockCall(_ bytes: String) throws -> StockCall {
        guard case .stock(let call, _) = try plan(bytes) else { throw TestError("not a call that changes stock") }
        return call
    }

    private func exchange(
        _ text: String, _ handler: RouteHandler, _ handle: (Request) throws -> Response
    ) throws -> [WireAnswer] {
        let bytes = Array(text.utf8)
        let moment = Moment(milliseconds: 0, dateLine: Array("Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n".utf8))
        var machine = ConnectionMachine(settings: ServerSettings(), peer: PeerAddress("192.0.2.1"))
        var position = 0
        steps: while true {
            switch machine.next(bytes, end: bytes.count, &position) {
            case .wait: break steps
            case .head(let head): machine.admit(handler.admit(head), moment)
            case .request(let request, let number): machine.answer(number, try handle(request), moment)
            case .fault(let fault, let context, let number):
                machine.answer(number, handler.response(to: fault, context), moment)
            }
        }
        let output = machine.output.withBytes { Array($0) }
        return try WireAnswer.parse(output)
    }
}

/// The routes of these tests are planned, not executed.
struct UnusedExecutor: CallExecutor {
    func execute(
        _ plan: CallPlan, onDeparture: (@escaping @Sendable (Departure) -> Void) -> Void,
        answer: @escaping @Sendable (Response) -> Void
    ) {
        Issue.record("executed \(plan)")
    }

    func follow(
        _ query: EventQuery, onDeparture: (@escaping @Sendable (Departure) -> Void) -> Void,
        open: @escaping @Sendable (ResponseFields) -> BodyWriter?,
        fail: @escaping @Sendable (CallFailure, ResponseFields) -> Void
    ) {
        Issue.record("followed \(query)")
    }
}

struct TestError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

/// An answer as its client reads it.
struct WireAnswer: CustomStringConvertible {
    var status: Int
    var fields: [(name: String, value: String)]
    var body: String

    var description: String { "\(status) \(fields.map { "\($0.name): \($0.value)" }) \(body)" }

    subscript(name: String) -> String? { fields.first { $0.name == name }?.value }

    static func parse(_ bytes: [UInt8]) throws -> [WireAnswer] {
        var rest = bytes[...]
        var answers: [WireAnswer] = []
        while !rest.isEmpty {
            guard let end = rest.firstRange(of: Array("\r\n\r\n".utf8)) else { throw TestError("a head without end") }
            let lines = String(decoding: rest[..<end.lowerBound], as: UTF8.self).split(separator: "\r\n")
            let words = lines[0].split(separator: " ")
            guard let status = Int(words[1]) else { throw TestError("no status: \(lines[0])") }
            let fields = lines.dropFirst().map { line in
                let parts = line.split(separator: ":", maxSplits: 1)
                return (name: String(parts[0]), value: String(parts[1].drop { $0 == " " }))
            }
            var answer = WireAnswer(status: status, fields: fields, body: "")
            rest = rest[end.upperBound...]
            let length = min(answer["Content-Length"].flatMap { Int($0) } ?? 0, rest.count)
            answer.body = String(decoding: rest.prefix(length), as: UTF8.self)
            rest = rest.dropFirst(length)
            answers.append(answer)
        }
        return answers
    }
}

/// A request of a test, whose bytes are as a client sends them.
struct WireRequest: Sendable {
    var method: String
    var target: String
    /// Without `Host` and `Content-Length`.
    var fields: [String]
    var body: String

    init(_ method: String, _ target: String, _ fields: [String] = [], _ body: String = "") {
        (self.method, self.target, self.fields, self.body) = (method, target, fields, body)
    }

    var bytes: String {
        let length = body.isEmpty ? [] : ["Content-Length: \(body.utf8.count)"]
        let lines = ["\(method) \(target) HTTP/1.1", "Host: gateway"] + fields + length
        return lines.joined(separator: "\r\n") + "\r\n\r\n" + body
    }
}

/// A time in the answers: 2018-05-01 10:10:57 UTC.
let someTime: Int64 = 578_484_657_000_000

extension LineResult {
    /// The result of a job of the tests.
    static func result(
        _ outcome: Outcome, _ code: ResultCode? = nil, warning: ResultWarning? = nil, item: String = "39766764",
        action: StockAction = .adjust, quantity: Int64 = -10, before: Int64 = 20
    ) -> LineResult {
        LineResult(
            jobID: 77, itemID: item, action: action, quantity: quantity, outcome: outcome, code: code, warning: warning,
            before: Balance(onHand: before), after: Balance(onHand: before), finishedAt: someTime)
    }
}
