import Foundation
import StockQueue

/// Compares the fields of an NDJSON line with what Foundation reads in it.
enum ObjectCheck {
    private static let blanks = Set(" \t\r\n".utf8)

    static func problem<Column: RawRepresentable & Hashable>(
        with record: InputRecord, _ columns: [Column]
    ) -> String? where Column.RawValue == String {
        // Foundation looks for UTF-16 and byte order marks, which have no place here.
        if record.raw.contains(0) || record.raw.contains(where: { $0 >= 0xEF }) { return nil }
        // It also takes a comma behind the last member, which JSON does not have.
        let tail = record.raw.reversed().filter { !blanks.contains($0) }.prefix(2)
        if tail.elementsEqual("},".utf8) { return nil }
        let object = try? JSONDecoder().decode([String: Value].self, from: Data(record.raw))
        guard record.problem == nil else {
            guard let object, !object.isEmpty else { return nil }
            let isFlat = object.allSatisfy { key, value in value != .structure && Column(rawValue: key) != nil }
            // Foundation reads one of two equal keys; a refusal for them names the key.
            let isTwice = record.problem?.description.contains("twice") == true
            // A number like 01 or 1.e, at which Foundation looks only when it must make one of it.
            let isNumber = !object.values.contains(.beyond)
            return isFlat && !isTwice && isNumber ? "\(object) is refused: \(record.problem!)" : nil
        }
        guard let object else {
            // Texts are checked for UTF-8 when they are known to be texts.
            return record.fields.allSatisfy { PlainRules.text(Array($0)) != nil } ? "\(record) is let in" : nil
        }
        for (column, field) in zip(columns, record.fields) {
            let value = object[column.rawValue] ?? .null
            if !value.isWritten(String(decoding: field, as: UTF8.self)) {
                return "\(column.rawValue) \(value) is read as '\(String(decoding: field, as: UTF8.self))'"
            }
        }
        return nil
    }

    private enum Value: Decodable, Equatable {
        case null
        case flag(Bool)
        case text(String)
        case number(Decimal)
        /// More than a Decimal holds.
        case large(Double)
        case structure
        /// A number that Foundation cannot hold.
        case beyond

        private struct Key: CodingKey {
            var stringValue: String
            var intValue: Int? { nil }

            init(stringValue: String) { self.stringValue = stringValue }

            init?(intValue: Int) { nil }
        }

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if container.decodeNil() {
                self = .null
            } else if let text = try? container.decode(String.self) {
                self = .text(text)
            } else if let flag = try? container.decode(Bool.self) {
                self = .flag(flag)
            } else if let number = try? container.decode(Decimal.self) {
                self = .number(number)
            } else if let number = try? container.decode(Double.self) {
                self = .large(number)
            } else if (try? decoder.unkeyedContainer()) != nil || (try? decoder.container(keyedBy: Key.self)) != nil {
                self = .structure
            } else {
                self = .beyond
            }
        }

        func isWritten(_ field: String) -> Bool {
            switch self {
            case .null: field.isEmpty
            case .flag(let flag): field == (flag ? "true" : "false")
            // By bytes: equal Strings may differ in them.
            case .text(let text): Array(field.utf8) == Array(text.utf8)
            case .number(let number):
                // A Decimal has 38 digits.
                field.utf8.count(where: { (0x30...0x39).contains($0) }) > 36
                    || Decimal(string: field) == number
            case .large(let number): Double(field) == number
            case .structure: false
            case .beyond: true
            }
        }
    }
}
