import StockFormats
import StockModel

/// The members of a JSON object as values of the fields of a table.
enum FieldValues {
    /// Reads the members whose names are fields. A null is a field that is not given.
    ///
    /// - Parameters:
    ///   - fields: those that the object may have.
    ///   - pointer: where the object is in the body (RFC 6901).
    ///   - set: receives each value that is given, with the position of its field.
    static func read(
        _ value: JSONValue, _ fields: [FieldDefinition], besides others: [String] = [], at pointer: String,
        _ set: (Int, FieldValue) -> Void
    ) throws(Problem) {
        guard case .object(let members) = value else {
            throw Problem(Problem.Fault(.pointer(pointer), "must be an object"))
        }
        for member in members {
            guard let position = fields.firstIndex(where: { $0.name == member.key }) else {
                let known = (fields.map(\.name) + others).joined(separator: ", ")
                throw fault(
                    pointer, member.key,
                    "\(ValidationError.shown(member.key.utf8)) is not known here; known are \(known)")
            }
            guard let value = try typed(member, fields[position], pointer) else { continue }
            do throws(ValidationError) {
                try fields[position].validate(value)
            } catch {
                throw fault(pointer, member.key, error.message)
            }
            set(position, value)
        }
        for field in fields where field.isRequired {
            if value[field.name] == nil || value[field.name] == .null {
                throw fault(pointer, field.name, "\(field.name) is missing")
            }
        }
    }

    private static func typed(
        _ member: JSONMember, _ field: FieldDefinition, _ pointer: String
    ) throws(Problem) -> FieldValue? {
        switch (member.value, field.kind) {
        case (.null, _): return nil
        case (.bool(let flag), .flag): return .flag(flag)
        case (.string(let text), .text), (.string(let text), .id): return .text(text)
        case (.string(let text), .choice(let labels)):
            if labels.contains(text) { return .text(text) }
        case (.string(let text), .time):
            if let time = Moment.parse(text) { return .time(microsecondsSince2000: time) }
        case (.number(let number), .wholeNumber(let range)):
            if let value = number.int64, range.contains(value) { return .integer(value) }
        case (.object, .object):
            do throws(ValidationError) {
                return .text(try field.text(of: member.value))
            } catch {
                throw fault(pointer, field.name, error.message)
            }
        default: break
        }
        throw fault(pointer, field.name, "\(field.name) must be \(expectation(field.kind))")
    }

    private static func expectation(_ kind: FieldKind) -> String {
        switch kind {
        case .text, .id: "a text"
        case .wholeNumber(let range): "a whole number from \(range.lowerBound) to \(range.upperBound)"
        case .choice(let labels): "one of \(labels.joined(separator: ", "))"
        case .flag: "true or false"
        case .time: "a time with its zone like 2026-03-01T12:00:00Z"
        case .object: "an object"
        }
    }

    static func fault(_ pointer: String, _ key: String, _ detail: String) -> Problem {
        let key = key.split(separator: "~", omittingEmptySubsequences: false).joined(separator: "~0")
            .split(separator: "/", omittingEmptySubsequences: false).joined(separator: "~1")
        return Problem(Problem.Fault(.pointer("\(pointer)/\(key)"), detail))
    }
}

/// A time of a request: RFC 3339.
enum Moment {
    private static let digitsMax = 6

    /// - Returns: microseconds since 2000-01-01 00:00 UTC; digits behind the microseconds are cut.
    static func parse(_ text: String) -> Int64? {
        var bytes = Array(text.utf8)
        if let point = bytes.firstIndex(of: UInt8(ascii: ".")) {
            let digits = bytes[(point + 1)...].prefix { (0x30...0x39).contains($0) }
            bytes.removeSubrange(min(point + 1 + digitsMax, digits.endIndex)..<digits.endIndex)
        }
        if let time = RFC3339.microsecondsSince2000(bytes[...]) { return time }
        // PostgreSQL, and so the shared reader, knows no zone from 16 hours on; RFC 3339 does.
        guard bytes.count > 6, let sign = [UInt8(ascii: "+"): -1, UInt8(ascii: "-"): 1][bytes[bytes.count - 6]],
            bytes[bytes.count - 3] == UInt8(ascii: ":"),
            let hours = Int(String(decoding: bytes.suffix(5).prefix(2), as: UTF8.self)), (16..<24).contains(hours),
            let minutes = Int(String(decoding: bytes.suffix(2), as: UTF8.self)), (0..<60).contains(minutes),
            let time = RFC3339.microsecondsSince2000((bytes.dropLast(6) + [UInt8(ascii: "Z")])[...])
        else { return nil }
        return time + Int64(sign * (hours * 60 + minutes)) * 60_000_000
    }
}
