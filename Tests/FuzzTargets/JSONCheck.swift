import Foundation
import StockFormats
import StockModel

/// Compares the reader of JSON with Foundation's, and the writer with the reader.
enum JSONCheck {
    private static let depthMax = 16
    private static let blanks = Set(" \t\r\n".utf8)

    static func problem(with bytes: [UInt8]) -> String? {
        // Foundation detects UTF-16 and byte order marks, which are not JSON.
        if bytes.contains(0) || bytes.contains(where: { $0 >= 0xEF }) { return nil }
        do throws(ValidationError) {
            let value = try JSONReader.read(bytes[...], depthMax: depthMax)
            return writingProblem(value) ?? comparison(value, bytes)
        } catch {
            return rejectionProblem(error, bytes)
        }
    }

    private static func writingProblem(_ value: JSONValue) -> String? {
        let text = JSONWriter.text(of: value)
        // Nothing in it may control a terminal.
        if text.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) {
            return "\(text) has a control character"
        }
        let again = try? JSONReader.read(Array(text.utf8)[...], depthMax: depthMax)
        // By bytes: equal Strings may differ in them.
        return again.map { JSONWriter.text(of: $0).utf8.elementsEqual(text.utf8) } == true
            ? nil : "\(value) is written as \(text) and read as \(String(describing: again))"
    }

    private static func comparison(_ value: JSONValue, _ bytes: [UInt8]) -> String? {
        guard let theirs = FoundationJSON(bytes) else { return "\(value) is accepted" }
        return theirs.isSame(as: value) ? nil : "\(theirs) is read as \(value)"
    }

    private static func rejectionProblem(_ error: ValidationError, _ bytes: [UInt8]) -> String? {
        // Foundation accepts duplicate keys, deeper nesting, and a comma after the last member or element.
        let hasLastComma = zip(significant(bytes), significant(bytes).dropFirst()).contains {
            $0 == UInt8(ascii: ",") && ($1 == UInt8(ascii: "}") || $1 == UInt8(ascii: "]"))
        }
        if error.code == .duplicateField || error.message.contains("nested too deep") || hasLastComma { return nil }
        guard let theirs = FoundationJSON(bytes), !theirs.hasBeyond else { return nil }
        return "\(theirs) is rejected: \(error)"
    }

    private static func significant(_ bytes: [UInt8]) -> [UInt8] { bytes.filter { !blanks.contains($0) } }
}

/// A value as Foundation's decoder returns it.
enum FoundationJSON: Decodable, Equatable {
    case null
    case flag(Bool)
    case text(String)
    case number(Decimal)
    /// More than a Decimal holds.
    case large(Double)
    case array([FoundationJSON])
    case object([String: FoundationJSON])
    /// A number that Foundation cannot hold, or whose grammar it did not check.
    case beyond

    init?(_ bytes: [UInt8]) {
        guard let value = try? JSONDecoder().decode(FoundationJSON.self, from: Data(bytes)) else { return nil }
        self = value
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
        } else if let array = try? container.decode([FoundationJSON].self) {
            self = .array(array)
        } else if let object = try? container.decode([String: FoundationJSON].self) {
            self = .object(object)
        } else {
            self = .beyond
        }
    }

    var isStructure: Bool {
        switch self {
        case .array, .object: true
        default: false
        }
    }

    /// Whether some number in it was not read.
    var hasBeyond: Bool {
        switch self {
        case .beyond: true
        case .array(let elements): elements.contains(where: \.hasBeyond)
        case .object(let members): members.values.contains(where: \.hasBeyond)
        default: false
        }
    }

    func isSame(as value: JSONValue) -> Bool {
        switch (self, value) {
        case (.null, .null): true
        case (.flag(let mine), .bool(let theirs)): mine == theirs
        // By bytes: equal Strings may differ in them.
        case (.text(let mine), .string(let theirs)): mine.utf8.elementsEqual(theirs.utf8)
        case (.number, .number(let theirs)), (.large, .number(let theirs)): isWritten(theirs.plain)
        case (.beyond, .number): true
        case (.array(let mine), .array(let theirs)):
            mine.count == theirs.count && zip(mine, theirs).allSatisfy { $0.isSame(as: $1) }
        case (.object(let mine), .object(let theirs)):
            // Keys of different bytes may be equal Strings, of which a dictionary has one.
            theirs.allSatisfy { member in mine[member.key] != nil }
                && (mine.count < theirs.count || theirs.allSatisfy { mine[$0.key]?.isSame(as: $0.value) == true })
        default: false
        }
    }

    /// Whether the field of a CSV record would have this text.
    func isWritten(_ field: String) -> Bool {
        switch self {
        case .null: field.isEmpty
        case .flag(let flag): field == (flag ? "true" : "false")
        case .text(let text): field.utf8.elementsEqual(text.utf8)
        case .number(let number):
            // A Decimal has 38 digits.
            field.utf8.count(where: { (0x30...0x39).contains($0) }) > 36 || Decimal(string: field) == number
        case .large(let number): Double(field) == number
        case .array, .object: false
        case .beyond: true
        }
    }
}
