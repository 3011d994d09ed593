/// Text from bytes.
enum UTF8Text {
    /// - Returns: nil for bytes that are not valid UTF-8.
    static func string(_ bytes: ArraySlice<UInt8>) -> String? {
        bytes.withUnsafeBufferPointer { bytes in
            // ASCII needs no validation, which costs more than the making of a short text.
            bytes.allSatisfy { $0 < 0x80 }
                ? String(decoding: bytes, as: UTF8.self) : String(validating: bytes, as: UTF8.self)
        }
    }

    /// The bytes without the white space at their ends. Bytes that are not valid UTF-8 stay as they are.
    static func trimmed(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        guard let first = bytes.first, let last = bytes.last, !isVisible(first) || !isVisible(last),
            let text = string(bytes)
        else { return bytes }
        let scalars = text.unicodeScalars
        let start = whiteSpaceBytes(scalars)
        return start == bytes.count ? [] : bytes.dropFirst(start).dropLast(whiteSpaceBytes(scalars.reversed()))
    }

    /// How many bytes of white space there are before the first other character.
    private static func whiteSpaceBytes(_ scalars: some Sequence<Unicode.Scalar>) -> Int {
        scalars.prefix { $0.properties.isWhitespace }.reduce(0) { $0 + UTF8.width($1) }
    }

    /// Whether a byte is a printable character of ASCII other than a space.
    private static func isVisible(_ byte: UInt8) -> Bool { 0x21...0x7E ~= byte }
}
