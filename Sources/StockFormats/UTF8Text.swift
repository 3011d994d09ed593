/// Text from bytes.
enum UTF8Text {
    /// - Returns: nil for bytes that are not valid UTF-8.
    static func string(_ bytes: ArraySlice<UInt8>) -> String? {
        // A buffer is validated in one pass; a slice would be decoded scalar by scalar.
        bytes.withUnsafeBufferPointer { String(validating: $0, as: UTF8.self) }
    }
}
