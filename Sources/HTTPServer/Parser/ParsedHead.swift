/// The head of a request as positions in the bytes that were read, counted from the first byte of the request line.
package struct ParsedHead: Sendable {
    package struct Field: Sendable {
        package var name: Range<Int>
        /// Without blanks at its ends.
        package var value: Range<Int>
    }

    package enum Framing: Sendable, Equatable {
        case none
        case length(Int)
        case chunked
    }

    package var method = HTTPMethod.get
    package var target = 0..<0
    /// Empty for `*` and for the authority of a CONNECT.
    package var path = 0..<0
    /// Without its question mark.
    package var query: Range<Int>?
    /// Of an absolute target or a CONNECT, otherwise that of the field Host.
    package var authority: Range<Int>?
    /// Of the version HTTP/1.x.
    package var minorVersion = 1
    /// Keeps its memory from request to request.
    package var fields: [Field] = []
    package var framing = Framing.none
    package var expectsContinue = false
    package var keepsAlive = true

    mutating func reset() {
        (method, minorVersion) = (.get, 1)
        (target, path, query, authority) = (0..<0, 0..<0, nil, nil)
        fields.removeAll(keepingCapacity: true)
        (framing, expectsContinue, keepsAlive) = (.none, false, true)
    }
}
