import StockModel

/// Reads the members of an NDJSON line as the fields of a CSV record.
struct ObjectFields<Column: InputColumn> {
    /// The keys that an object may have, in the order of the fields.
    private let names: [String]
    private let definitions: [FieldDefinition]
    /// The values that are given for all objects, by their positions.
    private let fixed: [(position: Int, column: Column, text: String)]

    /// - Throws: for options that only a CSV has, and for a fixed value of an unknown field.
    init(_ form: InputForm) throws(ValidationError) {
        if !form.fieldNames.isEmpty || form.preset != nil || form.ignoresUnknownColumns {
            throw ValidationError("--map, --from and --ignore-unknown are for CSV; in NDJSON the keys are the fields")
        }
        let columns = Array(Column.allCases)
        names = columns.map(\.rawValue)
        definitions = columns.map(\.definition)
        fixed = try FixedValues<Column>(form).values.map { value in
            (columns.firstIndex(of: value.column)!, value.column, value.text)
        }
    }

    /// Texts as they are, numbers and booleans as they are written; empty for null and for a missing member.
    func read(_ line: ArraySlice<UInt8>) throws(ValidationError) -> [ArraySlice<UInt8>] {
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
            fields[position] = try Self.bytes(of: member, definitions[position])
        }
        for (position, column, text) in fixed {
            if !fields[position].isEmpty { throw FixedValues.error(column, text, given: "the line has a") }
            fields[position] = Array(text.utf8)[...]
        }
        return fields
    }

    private static func bytes(
        of member: JSONMember, _ field: FieldDefinition
    ) throws(ValidationError) -> ArraySlice<UInt8> {
        switch member.value {
        case .null: return []
        case .bool(let flag): return Array(String(flag).utf8)[...]
        case .number(let number):
            // A program that read the id as a number wrote it with an exponent, and may have lost digits.
            if field.isID && number.hasExponent { throw field.rounded(Array(number.literal.utf8)[...]) }
            return Array(number.plain.utf8)[...]
        case .string(let text): return Array(text.utf8)[...]
        case .object where field.kind.isObject: return Array(JSONWriter.text(of: member.value).utf8)[...]
        case .array, .object:
            throw ValidationError(
                "\(member.key) must not be an object or an array", code: .malformed, field: member.key)
        }
    }
}
