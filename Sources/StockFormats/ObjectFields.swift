import StockModel

/// The members of an NDJSON line as the fields of a CSV record.
enum ObjectFields {
    /// Texts as they are, numbers and booleans as they are written; empty for null and for a missing member.
    ///
    /// - Parameter names: the keys that an object may have, in the order of the fields.
    static func read(
        _ line: ArraySlice<UInt8>, _ names: [String]
    ) throws(ValidationError) -> [ArraySlice<UInt8>] {
        guard case .object(let members) = try JSONReader.read(line) else {
            throw ValidationError("not a JSON object", code: .malformed)
        }
        var fields = [ArraySlice<UInt8>](repeating: [], count: names.count)
        for member in members {
            guard let position = names.firstIndex(of: member.key) else {
                if NoteColumn.names.contains(member.key) { continue }
                throw ValidationError(
                    "unknown key '\(ValidationError.shown(member.key.utf8))'; known are \(names.joined(separator: ", "))",
                    code: .unknownField)
            }
            switch member.value {
            case .null: break
            case .bool(let flag): fields[position] = Array(String(flag).utf8)[...]
            case .number(let number): fields[position] = Array(number.plain.utf8)[...]
            case .string(let text): fields[position] = Array(text.utf8)[...]
            case .array, .object:
                throw ValidationError(
                    "\(member.key) must not be an object or an array", code: .malformed, field: member.key)
            }
        }
        return fields
    }
}
