import HTTPServer
import StockQueueLocking

/// What a vendor's request amounts to: an answer that needs nothing more, or a call with the way to write its answer.
///
/// A plan is a pure value of the request. What executes it knows nothing of vendors.
package enum CallPlan: Sendable {
    case respond(Response)
    case access(Access, @Sendable (AccessAnswer) -> Response)
    case stock(StockCall, @Sendable (StockAnswer) -> Response)
    case levels(LevelQuery, @Sendable (LevelAnswer) -> Response)
    case history(HistoryQuery, @Sendable (HistoryAnswer) -> Response)
    case item(ItemCall, @Sendable (ItemAnswer) -> Response)
    case token(TokenRequest, @Sendable (TokenAnswer) -> Response)
    case batch(BatchCall, @Sendable (BatchAnswer) -> Response)
    case ticket(TicketQuery, @Sendable (TicketAnswer) -> Response)
    // The plans of the native API.
    case submit(StockCall, @Sendable (SubmissionAnswer) -> Response)
    case native(NativeQuery, @Sendable (NativeAnswer) -> Response)
    case dryRun(DryRunCall, @Sendable (DryRunAnswer) -> Response)
    /// The head of the stream, and the answer if there is no stream.
    case events(EventQuery, Response, @Sendable (CallFailure) -> Response)
}

/// Executes plans: it checks tokens, enqueues jobs, waits for their results and reads. Its functions are called on the
/// server's threads and must not block.
package protocol CallExecutor: Sendable {
    /// Executes a plan and calls `answer` once, now or later, from any thread.
    ///
    /// - Parameter onDeparture: registers what happens when the client goes away, or the server shuts down, before the
    ///   answer: the executor cancels the jobs.
    func execute(
        _ plan: CallPlan, onDeparture: (@escaping @Sendable (Departure) -> Void) -> Void,
        answer: @escaping @Sendable (Response) -> Void)

    /// Follows notifications: calls either `open`, once, and writes events until the client goes away, or `fail`.
    ///
    /// - Parameter open: begins the answer with more fields; nil if the client is gone.
    func follow(
        _ query: EventQuery, onDeparture: (@escaping @Sendable (Departure) -> Void) -> Void,
        open: @escaping @Sendable (ResponseFields) -> BodyWriter?,
        fail: @escaping @Sendable (CallFailure, ResponseFields) -> Void)
}

/// One route of a vendor, with the pure function that plans its requests.
package struct VendorRoute: Sendable {
    package typealias Check = @Sendable (RequestHead) throws -> Void
    package typealias Planner = @Sendable (Request, PathParameters) throws -> CallPlan

    package var method: HTTPMethod
    package var pattern: PathPattern
    package var coding: PercentCoding
    package var bodyBytesMax: Int
    /// Decides by the head alone whether the request can succeed.
    package var check: Check
    package var plan: Planner

    package init(
        _ method: HTTPMethod, _ pattern: PathPattern, coding: PercentCoding = .uri, bodyBytesMax: Int,
        check: @escaping Check, plan: @escaping Planner
    ) {
        self.method = method
        self.pattern = pattern
        self.coding = coding
        self.bodyBytesMax = bodyBytesMax
        self.check = check
        self.plan = plan
    }
}

/// The calls of one vendor.
package protocol VendorAPI: Sendable {
    /// Paths that begin with these segments get their errors in the form of this vendor.
    var prefixes: [String] { get }
    var errorStyle: ErrorStyle { get }
    var routes: [VendorRoute] { get }
}

extension RouteTable {
    /// Adds the routes of a vendor.
    package mutating func add(_ vendor: some VendorAPI, _ executor: some CallExecutor) {
        for prefix in vendor.prefixes { setErrorStyle(under: prefix, vendor.errorStyle) }
        for route in vendor.routes {
            add(
                route.method, route.pattern, coding: route.coding, bodyBytesMax: route.bodyBytesMax,
                check: { head, _ in try route.check(head) },
                { call in
                    let plan = try route.plan(call.request, call.path)
                    if case .respond(let response) = plan { return call.respond(response) }
                    let pending = PendingAnswer(call)
                    if case .events(let query, let head, let failed) = plan {
                        return executor.follow(
                            query, onDeparture: call.responder.onDeparture, open: { pending.open(head, $0) },
                            fail: { pending.give(failed($0), $1) })
                    }
                    executor.execute(plan, onDeparture: call.responder.onDeparture) { pending.give($0) }
                })
        }
    }
}

/// The answer that a request waits for. It releases the request when the answer is given: what an executor registered
/// for the client's departure can live longer, and must not be what releases the responder.
private final class PendingAnswer: Sendable {
    private let call: Mutex<Call?>

    init(_ call: Call) { self.call = Mutex(call) }

    func give(_ response: Response, _ fields: ResponseFields = ResponseFields()) {
        var response = response
        response.fields.append(fields)
        take()?.respond(response)
    }

    func open(_ head: Response, _ fields: ResponseFields) -> BodyWriter? {
        var head = head
        head.fields.append(fields)
        return take()?.stream(head)
    }

    private func take() -> Call? {
        self.call.withLock { call in
            let pending = call
            call = nil
            return pending
        }
    }
}
