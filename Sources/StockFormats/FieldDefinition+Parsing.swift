import StockModel

extension FieldDefinition {
    /// The typed value of a text that is not empty. The kind's form is checked here, everything else by the request's
    /// `validate()`.
    package func parse(_ bytes: ArraySlice<UInt8>) throws(ValidationError) -> FieldValue {
        switch kind {
        case .text, .id: .text(try text(bytes))
        case .wholeNumber(let range): .integer(try wholeNumber(bytes, range))
        case .choice(let labels): .text(try label(bytes, labels))
        case .flag: .flag(try flag(bytes))
        case .time: .time(microsecondsSince2000: try time(bytes))
        case .object: .text(try object(bytes))
        }
    }

    /// The error for an id in the form of a number that lost its last digits.
    package func rounded(_ bytes: ArraySlice<UInt8>) -> ValidationError {
        ValidationError(
            "\(name) is '\(ValidationError.shown(bytes))': a spreadsheet has rounded the number; format the column as text and enter it again",
            code: .malformed, field: name)
    }

    private func text(_ bytes: ArraySlice<UInt8>) throws(ValidationError) -> String {
        if let text = UTF8Text.string(bytes) { return text }
        throw ValidationError(
            "\(name) is not valid UTF-8; a file in Windows-1252 needs --encoding windows-1252", code: .malformed,
            field: name)
    }

    private func wholeNumber(
        _ bytes: ArraySlice<UInt8>, _ range: ClosedRange<Int64>
    ) throws(ValidationError) -> Int64 {
        switch WholeNumber(written: bytes) {
        case .value(let value): return value
        case .overflow: throw outOfRange(ValidationError.shown(bytes), range)
        case .malformed:
            throw ValidationError(
                "\(name) must be a whole number, not '\(ValidationError.shown(bytes))'", code: .malformed, field: name)
        case .ambiguous(let value):
            throw ValidationError(
                "\(name) is '\(ValidationError.shown(bytes))', which may be \(value) or \(value)000; write digits only",
                code: .malformed, field: name)
        case .grouped:
            throw ValidationError(
                "\(name) is '\(ValidationError.shown(bytes))'; write it without separators between the digits",
                code: .malformed, field: name)
        case .dashed:
            throw ValidationError(
                "\(name) is '\(ValidationError.shown(bytes))', which begins with a dash; write a minus sign (-)",
                code: .malformed, field: name)
        }
    }

    private func flag(_ bytes: ArraySlice<UInt8>) throws(ValidationError) -> Bool {
        switch String(decoding: bytes, as: UTF8.self).lowercased() {
        case "true", "t", "yes", "y", "on", "1": return true
        case "false", "f", "no", "n", "off", "0": return false
        // What spreadsheets in other languages write: German, French, Spanish and Italian, Portuguese, Dutch.
        case "wahr", "vrai", "verdadero", "vero", "verdadeiro", "waar": return true
        case "falsch", "faux", "falso", "onwaar": return false
        default:
            throw ValidationError(
                "\(name) must be true or false, not '\(ValidationError.shown(bytes))'", code: .malformed, field: name)
        }
    }

    private func time(_ bytes: ArraySlice<UInt8>) throws(ValidationError) -> Int64 {
        if let microseconds = RFC3339.microsecondsSince2000(bytes) { return microseconds }
        throw ValidationError(
            "\(name) must be a time with its zone like 2026-03-01T12:00:00Z, not '\(ValidationError.shown(bytes))'",
            code: .malformed, field: name)
    }

    /// The text of an object that PostgreSQL stores as jsonb.
    private func object(_ bytes: ArraySlice<UInt8>) throws(ValidationError) -> String {
        let value: JSONValue
        do throws(ValidationError) {
            value = try JSONReader.read(bytes)
        } catch {
            throw malformedObject("it is not JSON: \(error.message)")
        }
        return try text(of: value)
    }

    /// The text of an object that PostgreSQL stores as jsonb.
    package func text(of value: JSONValue) throws(ValidationError) -> String {
        guard case .object = value else { throw malformedObject("it is no object") }
        if let problem = value.problemForJSONB { throw malformedObject(problem) }
        return JSONWriter.text(of: value)
    }

    private func malformedObject(_ problem: String) -> ValidationError {
        ValidationError(
            "\(name) must be a JSON object like {\"till\": 3}; \(problem)", code: .malformed, field: name)
    }

    private func label(_ bytes: ArraySlice<UInt8>, _ labels: [String]) throws(ValidationError) -> String {
        if let label = labels.first(where: { $0.utf8.elementsEqual(bytes) }) { return label }
        throw ValidationError(
            "\(name) must be one of \(labels.joined(separator: ", ")), not '\(ValidationError.shown(bytes))'",
            code: .unknownValue, field: name)
    }
}
