/// A complete answer. The server adds `Date`, `Content-Length`, `Connection` and `Keep-Alive`.
package struct Response: Sendable {
    package var status: HTTPStatus
    package var fields: ResponseFields
    package var body: [UInt8]

    package init(_ status: HTTPStatus, fields: ResponseFields = ResponseFields(), body: [UInt8] = []) {
        self.status = status
        self.fields = fields
        self.body = body
    }

    /// An answer with a JSON body.
    package static func json(_ status: HTTPStatus, _ body: [UInt8]) -> Response {
        Response(status, fields: .json, body: body)
    }

    /// An answer with a line of text.
    package static func text(_ status: HTTPStatus, _ text: String) -> Response {
        Response(status, fields: .text, body: Array((text + "\n").utf8))
    }
}

/// The fields of an answer, as the bytes that are sent: `Name: value`, each with CRLF.
package struct ResponseFields: Sendable, Equatable {
    private(set) var bytes: [UInt8] = []

    package init() {}

    /// Adds a field. A byte in the name or the value that would end the line, or that a field cannot have, becomes `?`, so
    /// that no value can add a field or an answer.
    ///
    /// - Parameters:
    ///   - name: not one of those that the server adds.
    package mutating func add(_ name: String, _ value: String) {
        assert(
            !["date", "content-length", "transfer-encoding", "connection", "keep-alive"].contains(name.lowercased()))
        for byte in name.utf8 { bytes.append(ByteClass.token.contains(byte) ? byte : UInt8(ascii: "?")) }
        bytes.append(UInt8(ascii: ":"))
        bytes.append(.space)
        for byte in value.utf8 {
            bytes.append((byte < 0x20 && byte != .tab) || byte == 0x7F ? UInt8(ascii: "?") : byte)
        }
        bytes.append(.carriageReturn)
        bytes.append(.lineFeed)
    }

    /// Adds other fields behind these.
    package mutating func append(_ other: ResponseFields) { bytes += other.bytes }

    /// The value of the first field with a name, whose letters have the same case; nil if there is none.
    package func value(of name: String) -> String? {
        bytes.split(separator: .lineFeed).first { $0.starts(with: "\(name): ".utf8) }.map { line in
            String(decoding: line.dropFirst(name.utf8.count + 2).dropLast(), as: UTF8.self)
        }
    }

    /// These fields and one more.
    package func adding(_ name: String, _ value: String) -> ResponseFields {
        var fields = self
        fields.add(name, value)
        return fields
    }

    /// `Content-Type: application/json; charset=utf-8`
    package static let json = ResponseFields().adding("Content-Type", "application/json; charset=utf-8")
    /// `Content-Type: text/plain; charset=utf-8`
    package static let text = ResponseFields().adding("Content-Type", "text/plain; charset=utf-8")
}
