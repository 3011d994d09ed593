/// The routes of an application, with the style of its errors by path.
///
/// ```swift
/// var routes = RouteTable()
/// routes.setErrorStyle(under: "/v2", elasticPathErrors)
/// routes.add(.post, "/v2/inventories/{id}/transactions") { call in
///     guard let id = call.path.value("id", as: UUID.self) else { throw HTTPFailure(.notFound, "…") }
///     transactions.enqueue(id, call.request.body) { call.respond($0) }
/// }
/// let server = try HTTPServer(endpoints, settings: settings, handler: RouteHandler(routes))
/// ```
package struct RouteTable: Sendable {
    /// Answers now or later, or throws an error, which becomes the answer.
    package typealias Action = @Sendable (Call) throws -> Void
    /// Decides by the head alone whether the request can succeed, before its body is read; throws if not.
    package typealias Check = @Sendable (RequestHead, PathParameters) throws -> Void

    struct Route: Sendable {
        /// The place in `routes`.
        var number: Int
        var bodyBytesMax: Int?
        var check: Check?
        var action: Action
    }

    var router = Router<Route>()
    /// The method and the pattern of each route, in the order in which they were added.
    package private(set) var routes: [(method: HTTPMethod, pattern: PathPattern)] = []
    var styles: [(prefix: [UInt8], style: ErrorStyle)] = []
    /// nil: browsers may not call the server from pages of other origins.
    package var cors: CORSPolicy?
    /// Completes each answer to a request before it is sent: it can add fields, and log the request.
    package var onAnswer: (@Sendable (inout Response, RequestHead) -> Void)?
    /// Called with each request that got its answer: for metrics. The threads that answer call it at the same time.
    package var onAnswered: (@Sendable (AnsweredRequest) -> Void)?
    /// Called after all requests that arrived together have been handed over.
    package var onBurstEnded: @Sendable () -> Void = {}

    package init() {}

    /// Adds a route.
    ///
    /// - Parameters:
    ///   - bodyBytesMax: nil for the server's limit.
    ///   - check: runs when the head is complete. A client that waits for `100 Continue` then sends no body for nothing.
    package mutating func add(
        _ method: HTTPMethod, _ pattern: PathPattern, coding: PercentCoding = .uri, bodyBytesMax: Int? = nil,
        check: Check? = nil, _ action: @escaping Action
    ) {
        router.add(
            method, pattern, coding: coding,
            Route(number: routes.count, bodyBytesMax: bodyBytesMax, check: check, action: action))
        routes.append((method, pattern))
    }

    /// Errors of paths that begin with these segments are written by `style`; the longest prefix counts. `/` is for all.
    package mutating func setErrorStyle(under prefix: String, _ style: @escaping ErrorStyle) {
        styles.append((Self.canonical(prefix.utf8), style))
        styles.sort { $0.prefix.count > $1.prefix.count }
    }

    func style(_ path: ArraySlice<UInt8>) -> ErrorStyle {
        let path = Self.canonical(path)
        return styles.first { path.starts(with: $0.prefix) }?.style ?? HTTPFailure.plainText
    }

    /// Of a target that may be incomplete: a path, or a URI with a host before it.
    static func path(ofTarget target: String) -> ArraySlice<UInt8> {
        let path = Array(target.utf8).prefix { $0 != UInt8(ascii: "?") }
        guard path.first != UInt8(ascii: "/"), target.contains("://") else { return path }
        return path.split(separator: UInt8(ascii: "/"), maxSplits: 2).last ?? []
    }

    /// `/a/b/` without empty segments, so that prefixes are compared by whole segments.
    private static func canonical(_ path: some Collection<UInt8>) -> [UInt8] {
        path.split(separator: UInt8(ascii: "/")).reduce(into: [UInt8(ascii: "/")]) { $0 += $1 + [UInt8(ascii: "/")] }
    }
}

/// A request that got its answer.
package struct AnsweredRequest: Sendable {
    /// The place of its route in `RouteTable.routes`; nil where it has none.
    package let route: Int?
    package let status: HTTPStatus
    /// From the complete request to the answer, or to the begin of a streamed one; zero where its head was enough.
    package let duration: Duration
}
