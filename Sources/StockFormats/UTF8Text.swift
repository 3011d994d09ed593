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
}
