/// What PostgreSQL's type jsonb refuses (manual, section 8.14).
extension JSONValue {
    /// Why jsonb does not store the value; nil if it does.
    var problemForJSONB: String? {
        switch self {
        case .null, .bool: nil
        case .string(let text): text.utf8.contains(0) ? Self.hasNUL : nil
        case .number(let number): number.fitsNumeric ? nil : "a number has too many digits"
        case .array(let elements): elements.lazy.compactMap(\.problemForJSONB).first
        case .object(let members):
            members.lazy.compactMap { $0.key.utf8.contains(0) ? Self.hasNUL : $0.value.problemForJSONB }.first
        }
    }

    private static let hasNUL = "a text has a NUL character"
}

extension JSONNumber {
    /// Far within the type numeric, which has 131,072 digits before the point and 16,383 behind it.
    var fitsNumeric: Bool {
        let parts = literal.utf8.split(maxSplits: 1) { $0 | 0x20 == UInt8(ascii: "e") }
        let exponent = parts.count > 1 ? Int(String(Substring(parts[1]))) : 0
        return exponent.map { (-1_000...1_000).contains($0) } ?? false
    }
}
