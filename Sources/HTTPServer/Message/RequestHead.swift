/// The request line and the fields of one request, with the bytes they consist of.
package final class RequestHead: Sendable {
    package let method: HTTPMethod
    /// Of the version HTTP/1.x.
    package let minorVersion: Int
    /// The address of the client: of the connection, or what the proxies of the settings say.
    package let peer: PeerAddress
    /// Whether a body follows.
    package let hasBody: Bool
    /// The length that the client announced; nil for a chunked body.
    package let contentLength: Int?
    /// Whether the client waits for `100 Continue` before it sends the body.
    package let expectsContinue: Bool
    /// Whether the client can use the connection again after the answer.
    let keepsAlive: Bool

    private let bytes: [UInt8]
    private let fields: [ParsedHead.Field]
    private let targetRange: Range<Int>
    private let pathRange: Range<Int>
    private let queryRange: Range<Int>?
    private let authorityRange: Range<Int>?

    /// - Parameters:
    ///   - bytes: those of the head alone.
    ///   - peer: where the connection came from.
    ///   - proxies: how many of them are known to append an address to `X-Forwarded-For`.
    init(_ parsed: ParsedHead, bytes: [UInt8], peer: PeerAddress, proxies: Int) {
        method = parsed.method
        minorVersion = parsed.minorVersion
        self.peer = proxies > 0 ? peer.forwarded(by: proxies, parsed.fields, bytes) : peer
        switch parsed.framing {
        case .none: (hasBody, contentLength) = (false, 0)
        case .length(let count): (hasBody, contentLength) = (count > 0, count)
        case .chunked: (hasBody, contentLength) = (true, nil)
        }
        expectsContinue = parsed.expectsContinue
        keepsAlive = parsed.keepsAlive
        self.bytes = bytes
        fields = parsed.fields
        targetRange = parsed.target
        pathRange = parsed.path
        queryRange = parsed.query
        authorityRange = parsed.authority
    }

    /// The request target as the client sent it. It can contain secrets in its query.
    package var target: String { text(targetRange) }

    /// The path as the client sent it: `/` also for `http://host`, empty for `OPTIONS *` and for CONNECT.
    package var path: ArraySlice<UInt8> {
        if pathRange.isEmpty, !isServerWide, !method.isConnect { return [UInt8(ascii: "/")] }
        return bytes[pathRange]
    }

    /// Whether this is `OPTIONS *`: about the server, not a path.
    package var isServerWide: Bool {
        targetRange.count == 1 && bytes[targetRange.lowerBound] == UInt8(ascii: "*")
            || method.isOptions && pathRange.isEmpty
    }

    /// Host and port that the client called; nil if it named none.
    package var authority: String? {
        authorityRange.flatMap { $0.isEmpty ? nil : text($0) }
    }

    /// The parameters of the query, decoded.
    package var query: QueryParameters { queryRange.map { QueryParameters(bytes[$0]) } ?? .none }

    /// The value of the first field with a name, without blanks at its ends; nil if there is none.
    ///
    /// - Parameter name: in lower case.
    package func field(_ name: StaticString) -> String? { fieldBytes(name).map { String(decoding: $0, as: UTF8.self) } }

    /// The bytes of `field(_:)`, for comparisons that make no text.
    package func fieldBytes(_ name: StaticString) -> ArraySlice<UInt8>? {
        for field in fields where matches(field, name) { return bytes[field.value] }
        return nil
    }

    /// The bytes of the only field with a name; nil if there is none, or more than one.
    package func onlyFieldBytes(_ name: StaticString) -> ArraySlice<UInt8>? {
        var found: ArraySlice<UInt8>?
        for field in fields where matches(field, name) {
            if found != nil { return nil }
            found = bytes[field.value]
        }
        return found
    }

    /// The values of all fields with a name, in order.
    package func fields(named name: StaticString) -> [String] {
        var values: [String] = []
        for field in fields where matches(field, name) { values.append(text(field.value)) }
        return values
    }

    /// All fields in order, with names as the client wrote them.
    package var allFields: [(name: String, value: String)] { fields.map { (text($0.name), text($0.value)) } }

    private func matches(_ field: ParsedHead.Field, _ name: StaticString) -> Bool {
        guard field.name.count == name.utf8CodeUnitCount else { return false }
        let expected = name.utf8Start
        let start = field.name.lowerBound
        for offset in 0..<field.name.count where bytes[start + offset].lowercased != expected[offset] { return false }
        return true
    }

    private func text(_ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }
}

/// A complete request.
package struct Request: Sendable {
    package let head: RequestHead
    /// The decoded body; empty without one.
    package let body: [UInt8]

    package init(head: RequestHead, body: [UInt8]) {
        self.head = head
        self.body = body
    }
}

/// Where a connection came from.
package struct PeerAddress: Sendable, Hashable, CustomStringConvertible {
    /// An IPv4 or IPv6 address without its port; `unix` for a Unix socket.
    package let description: String

    package init(_ description: String) { self.description = description }
}

extension PeerAddress {
    /// The address before the proxies that are known. Each appended the address that called it, so the entries are
    /// counted from the end; what a client wrote itself comes before them.
    fileprivate func forwarded(by proxies: Int, _ fields: [ParsedHead.Field], _ bytes: [UInt8]) -> PeerAddress {
        let lines = fields.filter { field in
            bytes[field.name].elementsEqual("x-forwarded-for".utf8) { $0.lowercased == $1 }
        }
        let entries = lines.flatMap { bytes[$0.value].split(separator: UInt8(ascii: ",")) }.map { entry in
            String(decoding: entry.drop { $0 == 0x20 || $0 == 0x09 }, as: UTF8.self).prefix { $0 != " " && $0 != "\t" }
        }
        // Longer than any address: no proxy of ours wrote it.
        guard let entry = entries.suffix(proxies).first, !entry.isEmpty, entry.utf8.count <= 64 else { return self }
        return PeerAddress(String(entry))
    }
}
