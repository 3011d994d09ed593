/// A request method. Methods are case-sensitive: `put` is not `PUT`.
package enum HTTPMethod: Sendable, Hashable, CustomStringConvertible {
    case get, head, post, put, patch, delete, options, trace, connect, query
    /// A method that neither RFC 9110 nor the definition of QUERY has.
    case other(String)

    /// The methods that a route can have.
    package static let known: [HTTPMethod] = [
        .get, .head, .post, .put, .patch, .delete, .options, .trace, .connect, .query,
    ]

    package init(_ name: String) { self = Self.known.first { $0.description == name } ?? .other(name) }

    package var description: String {
        switch self {
        case .get: "GET"
        case .head: "HEAD"
        case .post: "POST"
        case .put: "PUT"
        case .patch: "PATCH"
        case .delete: "DELETE"
        case .options: "OPTIONS"
        case .trace: "TRACE"
        case .connect: "CONNECT"
        case .query: "QUERY"
        case .other(let name): name
        }
    }

    /// Whether the method only reads (RFC 9110, 9.2.1): such requests of one connection may be processed at the same time.
    package var isSafe: Bool {
        switch self {
        case .get, .head, .options, .trace, .query: true
        default: false
        }
    }

    /// - Parameter range: bytes of a token.
    init(_ bytes: RawSpan, _ range: Range<Int>) {
        func equals(_ name: StaticString) -> Bool {
            for index in 0..<range.count where bytes[range.lowerBound + index] != name.utf8Start[index] { return false }
            return true
        }
        switch range.count {
        case 3 where equals("GET"): self = .get
        case 3 where equals("PUT"): self = .put
        case 4 where equals("POST"): self = .post
        case 4 where equals("HEAD"): self = .head
        case 5 where equals("PATCH"): self = .patch
        case 5 where equals("TRACE"): self = .trace
        case 5 where equals("QUERY"): self = .query
        case 6 where equals("DELETE"): self = .delete
        case 7 where equals("OPTIONS"): self = .options
        case 7 where equals("CONNECT"): self = .connect
        default: self = .other(bytes.withUnsafeBytes { String(decoding: $0[range], as: UTF8.self) })
        }
    }
}
