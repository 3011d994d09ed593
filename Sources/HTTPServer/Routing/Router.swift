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

    private struct Node: Sendable {
        var literals: [(text: [UInt8], node: Int)] = []
        var parameter: Int?
        var rest: Int?
        var actions: [(method: HTTPMethod, action: Action, names: [String], coding: PercentCoding)] = []
    }

    private var nodes = [Node()]

    package init() {}

    /// Adds a route. Two routes for one method and path end the process: they are part of the program.
    package mutating func add(
        _ method: HTTPMethod, _ pattern: PathPattern, coding: PercentCoding = .uri, _ action: Action
    ) {
        let index = pattern.segments.reduce(0) { child(of: $0, for: $1) }
        precondition(
            !nodes[index].actions.contains { $0.method == method }, "two routes for \(method) \(pattern.description)")
        nodes[index].actions.append((method, action, pattern.parameterNames, coding))
    }

    private mutating func child(of parent: Int, for segment: PathPattern.Segment) -> Int {
        let next = nodes.count
        let existing: Int?
        switch segment {
        case .literal(let text):
            let bytes = Array(text.utf8)
            existing = nodes[parent].literals.first { $0.text == bytes }?.node
            if existing == nil { nodes[parent].literals.append((bytes, next)) }
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
        let segments = path.split(separator: UInt8(ascii: "/"))
        var captures: [ArraySlice<UInt8>] = []
        guard let index = node(at: 0, segments[...], &captures) else { return .notFound }
        let actions = nodes[index].actions
        var route = actions.first { $0.method == method }
        if route == nil, method == .head { route = actions.first { $0.method == .get } }
        guard let route else { return .methodNotAllowed(Self.allowed(actions.map(\.method))) }
        var values: [(name: String, text: String)] = []
        for (name, bytes) in zip(route.names, captures) {
            guard let text = route.coding.decode(bytes) else { return .malformed }
            values.append((name, text))
        }
        return .found(route.action, PathParameters(values: values))
    }

    /// - Returns: the node of a path that has actions. Where a literal leads nowhere, a parameter is tried.
    private func node(
        at index: Int, _ segments: ArraySlice<ArraySlice<UInt8>>, _ captures: inout [ArraySlice<UInt8>]
    ) -> Int? {
        let node = nodes[index]
        guard let first = segments.first else { return node.actions.isEmpty ? nil : index }
        for literal in node.literals where first.elementsEqual(literal.text) {
            if let found = self.node(at: literal.node, segments.dropFirst(), &captures) { return found }
        }
        if let parameter = node.parameter {
            captures.append(first)
            if let found = self.node(at: parameter, segments.dropFirst(), &captures) { return found }
            captures.removeLast()
        }
        if let rest = node.rest, !nodes[rest].actions.isEmpty {
            captures.append(ArraySlice(segments.joined(separator: [UInt8(ascii: "/")])))
            return rest
        }
        return nil
    }

    /// With HEAD for GET, and OPTIONS, in the order of the alphabet.
    private static func allowed(_ methods: [HTTPMethod]) -> [HTTPMethod] {
        let all = Set(methods + (methods.contains(.get) ? [.head] : []) + [.options])
        return all.sorted { $0.description < $1.description }
    }
}
