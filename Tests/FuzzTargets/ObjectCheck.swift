import Foundation
import StockFormats
import StockModel

/// Compares the fields of an NDJSON line with what Foundation reads in it.
enum ObjectCheck {
    private static let blanks = Set(" \t\r\n".utf8)

    static func problem<Column: RawRepresentable & Hashable>(
        with record: InputRecord, _ columns: [Column]
    ) -> String? where Column.RawValue == String {
        // Foundation detects UTF-16 and byte order marks, which are not JSON.
        if record.raw.contains(0) || record.raw.contains(where: { $0 >= 0xEF }) { return nil }
        // It also accepts a comma after the last member, which JSON does not.
        let tail = record.raw.reversed().filter { !blanks.contains($0) }.prefix(2)
        if tail.elementsEqual("},".utf8) { return nil }
        let object: [String: FoundationJSON]? =
            if case .object(let members)? = FoundationJSON(Array(record.raw)) { members } else { nil }
        guard record.problem == nil else {
            guard let object, !object.isEmpty else { return nil }
            let isFlat = object.allSatisfy { key, value in !value.isStructure && Column(rawValue: key) != nil }
            // Foundation reads one of two equal keys.
            let isTwice = record.problem?.code == .duplicateField
            // A number like 01 or 1.e, whose grammar Foundation checks only when a number is made of it.
            let isNumber = !object.values.contains(.beyond)
            // A number with an exponent as an id.
            let isRounded = record.problem?.code == .malformed && record.problem?.field != nil
            return isFlat && !isTwice && !isRounded && isNumber ? "\(object) is rejected: \(record.problem!)" : nil
        }
        guard let object else { return "\(record) is accepted" }
        for (column, field) in zip(columns, record.fields) {
            let value = object[column.rawValue] ?? .null
            if !value.isWritten(String(decoding: field, as: UTF8.self)) {
                return "\(column.rawValue) \(value) is read as '\(String(decoding: field, as: UTF8.self))'"
            }
        }
        return nil
    }
}
