/// Serves the routes of a table.
package final class RouteHandler: RequestHandler {
    private let table: RouteTable

    package init(_ table: RouteTable) { self.table = table }

    package func admit(_ head: RequestHead) -> Admission {
        let (admission, route) = decide(head)
        if case .answer(let response, _) = admission { report(response.status, route: route) }
        return admission
    }

    /// - Returns: the decision, and the number of the route.
    private func decide(_ head: RequestHead) -> (Admission, route: Int?) {
        switch table.router.match(head.method, head.path) {
        case .found(let route, let parameters) where head.method != .connect && !head.method.isOptions:
            do {
                try route.check?(head, parameters)
                return (.read(bodyBytesMax: route.bodyBytesMax), route.number)
            } catch {
                return (.answer(response(to: error, head), closes: false), route.number)
            }
        case let match: return (answer(head, match), nil)
        }
    }

    /// The answer to a request that no route handles.
    private func answer(_ head: RequestHead, _ match: Router<RouteTable.Route>.Match) -> Admission {
        if head.method == .connect { return failure(.notImplemented, "The server opens no tunnels.", head) }
        if head.method.isOptions { return .answer(options(head), closes: false) }
        switch match {
        case .methodNotAllowed(let methods):
            if case .other = head.method { return failure(.notImplemented, "The method is not known.", head) }
            let fields = ResponseFields().adding("Allow", Self.list(methods))
            return failure(.methodNotAllowed, "The path has other methods: \(Self.list(methods)).", head, fields)
        case .notFound, .found:
            if case .other = head.method { return failure(.notImplemented, "The method is not known.", head) }
            return failure(.notFound, "There is nothing at this path.", head)
        case .malformed:
            return failure(.badRequest, "The path is not percent-encoded UTF-8.", head)
        }
    }

    package func handle(_ request: Request, _ responder: Responder) {
        guard case .found(let route, let parameters) = table.router.match(request.head.method, request.head.path) else {
            preconditionFailure("the head was admitted")
        }
        let call = Call(
            request: request, path: parameters, responder: responder, handler: self, route: route.number,
            startedAt: table.onAnswered == nil ? nil : .now)
        do {
            try route.action(call)
        } catch {
            call.fail(error)
        }
    }

    package func response(to fault: RequestFault, _ context: FaultContext) -> Response {
        let failure = HTTPFailure(fault.status, fault.reason)
        let path = context.head?.path ?? RouteTable.path(ofTarget: context.target ?? "")
        report(fault.status, route: context.head.flatMap(route(of:)))
        return decorated(table.style(path)(failure), context.head)
    }

    package func burstEnded() { table.onBurstEnded() }

    // MARK: answers

    /// The answer to an error that an action threw or reports later. An error without an answer of its own is a 500.
    package func response(to error: any Error, _ head: RequestHead) -> Response {
        let failure: any ResponseError =
            error as? any ResponseError ?? HTTPFailure(.internalServerError, "The server has a fault.")
        return decorated(failure.response(table.style(head.path)), head)
    }

    private func failure(
        _ status: HTTPStatus, _ message: String, _ head: RequestHead, _ fields: ResponseFields = ResponseFields()
    ) -> Admission {
        .answer(response(to: HTTPFailure(status, message, fields: fields), head), closes: false)
    }

    private func options(_ head: RequestHead) -> Response {
        var response = Response(.noContent)
        if head.isServerWide {
            response.fields.add("Allow", Self.list(Self.serverMethods))
            return response
        }
        let methods: [HTTPMethod]
        switch table.router.match(.options, head.path) {
        case .methodNotAllowed(let allowed): methods = allowed
        case .malformed, .found, .notFound:
            return self.response(to: HTTPFailure(.notFound, "There is nothing at this path."), head)
        }
        response.fields.add("Allow", Self.list(methods))
        table.cors?.decoratePreflight(&response, head, methods)
        return decorated(response, head)
    }

    func decorated(_ response: Response, _ head: RequestHead?) -> Response {
        guard let head, table.cors != nil || table.onAnswer != nil else { return response }
        var response = response
        table.cors?.decorate(&response, head)
        table.onAnswer?(&response, head)
        return response
    }

    private func route(of head: RequestHead) -> Int? {
        if case .found(let route, _) = table.router.match(head.method, head.path) { route.number } else { nil }
    }

    /// - Parameter startedAt: nil for a request whose head was enough.
    func report(_ status: HTTPStatus, route: Int?, startedAt: ContinuousClock.Instant? = nil) {
        table.onAnswered?(
            AnsweredRequest(
                route: route, status: status, duration: startedAt.map { $0.duration(to: .now) } ?? .zero))
    }

    private static let serverMethods: [HTTPMethod] = [.delete, .get, .head, .options, .patch, .post, .put]

    private static func list(_ methods: [HTTPMethod]) -> String { methods.map(\.description).joined(separator: ", ") }
}

/// One request that a route handles.
package struct Call: Sendable {
    package let request: Request
    package let path: PathParameters
    package let responder: Responder
    private let handler: RouteHandler
    private let route: Int
    private let startedAt: ContinuousClock.Instant?

    init(
        request: Request, path: PathParameters, responder: Responder, handler: RouteHandler, route: Int,
        startedAt: ContinuousClock.Instant?
    ) {
        (self.request, self.path, self.responder, self.handler) = (request, path, responder, handler)
        (self.route, self.startedAt) = (route, startedAt)
    }

    /// Answers the request.
    package func respond(_ response: Response) { answer(handler.decorated(response, request.head)) }

    /// Answers with an error that came up after the action returned.
    package func fail(_ error: any Error) { answer(handler.response(to: error, request.head)) }

    private func answer(_ response: Response) {
        if responder.answer(response) { handler.report(response.status, route: route, startedAt: startedAt) }
    }

    /// Begins an answer whose body is written piece by piece; nil if the request has an answer.
    package func stream(_ response: Response) -> BodyWriter? {
        let writer = responder.stream(handler.decorated(response, request.head))
        if writer != nil { handler.report(response.status, route: route, startedAt: startedAt) }
        return writer
    }
}
