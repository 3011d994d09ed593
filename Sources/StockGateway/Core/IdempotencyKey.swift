import HTTPServer

/// The value of the field `Idempotency-Key`.
package struct IdempotencyKey: Sendable, Hashable {
    /// An idempotency key has at most 200 bytes, with a slash and the number of a line behind it.
    package static let bytesMax = 190

    package let text: String

    /// - Parameter text: plain, or a string in double quotes (RFC 8941), which means the same.
    /// - Returns: nil for an empty one, one that is too long, and for bytes that are not printable ASCII.
    package init?(_ text: String) {
        var text = text[...]
        if text.count > 1, text.hasPrefix("\""), text.hasSuffix("\"") {
            text = text.dropFirst().dropLast()
        }
        guard !text.isEmpty, text.utf8.count <= Self.bytesMax, text.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7F })
        else { return nil }
        self.text = String(text)
    }

    /// The key of a request; nil without one.
    ///
    /// - Throws: `InvalidField` for a key that cannot be used, and for several.
    package init?(_ head: RequestHead) throws(InvalidField) {
        let values = head.fields(named: "idempotency-key")
        guard let value = values.first else { return nil }
        guard values.count == 1, let key = IdempotencyKey(value) else {
            throw InvalidField(
                "Idempotency-Key", "must be given once, with 1 to \(Self.bytesMax) printable ASCII characters")
        }
        self = key
    }
}
