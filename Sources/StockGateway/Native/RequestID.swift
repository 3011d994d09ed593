import HTTPServer

/// What names a request in its answer and in the log: the client's `Request-Id`, or a new one.
package enum RequestID {
    private static let bytesMax = 100

    package static func of(_ head: RequestHead) -> String {
        if let id = head.field("request-id"), (1...bytesMax).contains(id.utf8.count),
            id.utf8.allSatisfy({ (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "\"") })
        {
            return id
        }
        return random()
    }

    /// Adds the id to an answer of the native API that has none yet, such as that of a path that does not exist.
    ///
    /// - Returns: nil for a path that is not the native API's.
    package static func complete(_ response: inout Response, _ head: RequestHead) -> String? {
        let path = head.path.drop { $0 == UInt8(ascii: "/") }
        guard path.starts(with: prefix) else { return nil }
        let segments = path.split(separator: UInt8(ascii: "/"))
        if segments.count > 1, segments[1].elementsEqual("products".utf8) { return nil }
        if let id = response.fields.value(of: "Request-Id") { return id }
        let id = of(head)
        response.fields.add("Request-Id", id)
        return id
    }

    private static let prefix = Array("v1/".utf8)

    private static func random() -> String {
        let digits = String(UInt64.random(in: .min ... .max), radix: 16)
        return String(repeating: "0", count: 16 - digits.utf8.count) + digits
    }
}
