/// The text of a cursor: numbers with hyphens between them.
package enum CursorText {
    /// Whether the text has so many numbers of at most 18 digits.
    package static func isValid(_ text: some StringProtocol, numbers: ClosedRange<Int>) -> Bool {
        let parts = text.utf8.split(separator: UInt8(ascii: "-"), omittingEmptySubsequences: false)
        return numbers.contains(parts.count)
            && parts.allSatisfy { (1...18).contains($0.count) && $0.allSatisfy { (0x30...0x39).contains($0) } }
    }

    package static func decode<Cursor: LosslessStringConvertible>(_ decoder: any Decoder) throws -> Cursor {
        let container = try decoder.singleValueContainer()
        guard let cursor = Cursor(try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "this is not a cursor")
        }
        return cursor
    }

    package static func encode(_ text: String, _ encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }
}
