import StockFormats
import StockModel

/// The bodies of the vendors' calls.
enum JSONBody {
    private static let depthMax = 32

    /// Duplicate keys are a fault, at any depth: which of two deltas would count?
    static func read(_ body: [UInt8]) throws(InvalidField) -> JSONValue {
        do throws(ValidationError) {
            return try JSONReader.read(body[...], depthMax: depthMax)
        } catch {
            throw InvalidField(nil, error.code == .malformed ? "is \(error.message)" : "has a fault: \(error.message)")
        }
    }

    static func object(_ body: [UInt8]) throws(InvalidField) -> JSONValue {
        let value = try read(body)
        guard case .object = value else { throw InvalidField(nil, "must be a JSON object") }
        return value
    }
}

extension JSONValue {
    /// A whole number: 5, 5.0 and 5e0, since JSON has one type of number.
    ///
    /// - Throws: for a missing key, null, another type, a fraction, and a number that the range does not have.
    func wholeNumber(
        _ key: String, in range: ClosedRange<Int64>, as name: String? = nil
    ) throws(InvalidField) -> Int64 {
        let name = name ?? key
        switch self[key] {
        case nil, .null: throw InvalidField.missing(name)
        case .number(let number):
            guard let value = number.int64, range.contains(value) else {
                throw InvalidField(name, "must be a whole number from \(range.lowerBound) to \(range.upperBound)")
            }
            return value
        default: throw InvalidField(name, "must be a number")
        }
    }

    /// A text that can name something: 1 to 200 bytes without NUL; nil for a missing key and for null.
    func identifier(_ key: String) throws(InvalidField) -> String? {
        switch self[key] {
        case nil, .null: return nil
        case .string(let text):
            guard Identifier.isValid(text), !text.allSatisfy(\.isWhitespace) else {
                throw InvalidField(key, "must have 1 to \(Identifier.bytesMax) bytes")
            }
            return text
        default: throw InvalidField(key, "must be a text")
        }
    }
}

/// The ids of stores, items and locations.
enum Identifier {
    static let bytesMax = 200

    static func isValid(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count <= bytesMax && !text.utf8.contains(0)
    }
}
