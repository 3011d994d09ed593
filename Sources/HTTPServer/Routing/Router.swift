/// Finds what belongs to a method and a path. It knows nothing of requests, answers and sockets.
///
/// Empty segments do not count: `/v2//items/` is `/v2/items`, because clients were seen to send both, and a redirect would
/// turn a POST into a GET. `.` and `..` are segments like others. A literal segment comes before a parameter.
package struct Router<Action: Sendable>: Sendable {
    package enum Match {
        case found(Action, PathParameters)
        /// The path exists, with these methods.
        case methodNotAllowed([HTTPMethod])
        case notFound
        /// A part of the path is no percent-encoded UTF-8 text.
        case malformed
    }

    /// The texts of all literals are in one array, so that a search copies nothing.
    private struct Node: Sendable {
        var literals: [(text: Range<Int>, node: Int)] = []
        var parameter: Int?
        var rest: Int?
        var routes: [Route] = []
    }

    private struct Route: Sendable {
        var method: HTTPMethod
        var action: Action
        var names: [String]
        var coding: PercentCoding
    }

    private var nodes = [Node()]
    private var texts: [UInt8] = []

    package init() {}

    /// Adds a route. Two routes for one method and path end the process: they are part of the program.
    package mutating func add(
        _ method: HTTPMethod, _ pattern: PathPattern, coding: PercentCoding = .uri, _ action: Action
    ) {
        let index = pattern.segments.reduce(0) { child(of: $0, for: $1) }
        precondition(
            !nodes[index].routes.contains { $0.method == method }, "two routes for \(method) \(pattern.description)")
        nodes[index].routes.append(
            Route(method: method, action: action, names: pattern.parameterNames, coding: coding))
    }

    private mutating func child(of parent: Int, for segment: PathPattern.Segment) -> Int {
        let next = nodes.count
        let existing: Int?
        switch segment {
        case .literal(let text):
            existing = nodes[parent].literals.first { texts[$0.text].elementsEqual(text.utf8) }?.node
            if existing == nil {
                nodes[parent].literals.append((texts.count..<texts.count + text.utf8.count, next))
                texts += text.utf8
            }
        case .parameter:
            existing = nodes[parent].parameter
            nodes[parent].parameter = existing ?? next
        case .rest:
            existing = nodes[parent].rest
            nodes[parent].rest = existing ?? next
        }
        if let existing { return existing }
        nodes.append(Node())
        return next
    }

    /// - Parameter path: as the client sent it, without the query. HEAD finds the route of GET.
    package func match(_ method: HTTPMethod, _ path: ArraySlice<UInt8>) -> Match {
        var captures: [Range<Int>] = []
        guard let index = node(at: 0, path.span, from: 0, &captures) else { return .notFound }
        guard let route = route(of: index, method) ?? (method.isHead ? route(of: index, .get) : nil) else {
            return .methodNotAllowed(Self.allowed(nodes[index].routes.map(\.method)))
        }
        var values: [(name: String, text: String)] = []
        values.reserveCapacity(captures.count)
        for (name, range) in zip(nodes[index].routes[route].names, captures) {
            let bytes = path[path.startIndex + range.lowerBound..<path.startIndex + range.upperBound]
            guard let text = nodes[index].routes[route].coding.decode(bytes) else { return .malformed }
            values.append((name, text))
        }
        return .found(nodes[index].routes[route].action, PathParameters(values: values))
    }

    private func route(of index: Int, _ method: HTTPMethod) -> Int? {
        nodes[index].routes.indices.first { nodes[index].routes[$0].method == method }
    }

    /// - Returns: the node of a path that has routes. Where a literal leads nowhere, a parameter is tried.
    private func node(
        at index: Int, _ path: Span<UInt8>, from start: Int, _ captures: inout [Range<Int>]
    ) -> Int? {
        var start = start
        while start < path.count, path[start] == UInt8(ascii: "/") { start += 1 }
        guard start < path.count else { return nodes[index].routes.isEmpty ? nil : index }
        var end = start
        while end < path.count, path[end] != UInt8(ascii: "/") { end += 1 }
        for literal in nodes[index].literals.indices {
            let (text, next) = nodes[index].literals[literal]
            guard isText(text, path, start..<end) else { continue }
            if let found = node(at: next, path, from: end, &captures) { return found }
        }
        if let parameter = nodes[index].parameter {
            captures.append(start..<end)
            if let found = node(at: parameter, path, from: end, &captures) { return found }
            captures.removeLast()
        }
        if let rest = nodes[index].rest, !nodes[rest].routes.isEmpty {
            captures.append(start..<path.count)
            return rest
        }
        return nil
    }

    private func isText(_ text: Range<Int>, _ path: Span<UInt8>, _ range: Range<Int>) -> Bool {
        guard text.count == range.count else { return false }
        for offset in 0..<text.count where texts[text.lowerBound + offset] != path[range.lowerBound + offset] {
            return false
        }
        return true
    }

    /// With HEAD for GET, and OPTIONS, in the order of the alphabet.
    private static func allowed(_ methods: [HTTPMethod]) -> [HTTPMethod] {
        let all = Set(methods + (methods.contains(.get) ? [.head] : []) + [.options])
        return all.sorted { $0.description < $1.description }
    }
}
