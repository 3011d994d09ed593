/// A JSON value (RFC 8259). Numbers keep every digit, objects the order of their members.
package indirect enum JSONValue: Sendable, Hashable {
    case null
    case bool(Bool)
    case number(JSONNumber)
    case string(String)
    case array([JSONValue])
    case object([JSONMember])

    package static func integer(_ value: Int64) -> JSONValue { .number(JSONNumber(value)) }

    package static func integer(_ value: Int) -> JSONValue { .number(JSONNumber(Int64(value))) }

    /// The value of a key; nil for a missing key and for a value that is not an object.
    package subscript(key: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.key == key }?.value
    }
}

/// A key of an object and its value.
package struct JSONMember: Sendable, Hashable {
    package var key: String
    package var value: JSONValue

    package init(_ key: String, _ value: JSONValue) {
        self.key = key
        self.value = value
    }
}

/// A number as it is written.
package struct JSONNumber: Sendable, Hashable {
    /// Digits with an optional sign, fraction and exponent.
    package let literal: String

    package init(_ value: Int64) { literal = String(value) }

    /// - Parameter literal: a number in JSON's grammar.
    init(literal: String) { self.literal = literal }

    /// Written with an exponent, as `4.00638e+12`.
    package var hasExponent: Bool { literal.utf8.contains { $0 | 0x20 == UInt8(ascii: "e") } }

    /// The number as an integer; nil for one with a fraction and for one beyond 64 bits.
    package var int64: Int64? { Int64(plain) }

    /// Without fraction and exponent where the number is whole, since JSON has one type of number and 5.0 is 5;
    /// otherwise as it is written.
    package var plain: String {
        if literal.utf8.allSatisfy({ $0 == Self.minus || Self.isDigit($0) }) { return literal }
        var reader = Array(literal.utf8)[...]
        let isNegative = reader.first == Self.minus
        if isNegative { reader.removeFirst() }
        let whole = reader.prefix(while: Self.isDigit)
        reader = reader.dropFirst(whole.count)
        var fraction: ArraySlice<UInt8> = []
        if reader.first == UInt8(ascii: ".") {
            fraction = reader.dropFirst().prefix(while: Self.isDigit)
            reader = reader.dropFirst(1 + fraction.count)
        }
        let point = whole.count + Self.exponent(reader)
        return Self.written(isNegative, Array(whole + fraction), point: point) ?? literal
    }

    /// - Parameter bytes: empty, or an exponent with its `e`.
    private static func exponent(_ bytes: ArraySlice<UInt8>) -> Int {
        let digits = bytes.drop { !isDigit($0) }
        // Far beyond what is written out, and far from overflowing.
        let size = digits.reduce(0) { min($0 * 10 + Int($1 - zero), 1_000_000) }
        return bytes.contains(minus) ? -size : size
    }

    /// A number without fraction and exponent; nil when it is not whole or has more than 40 digits.
    ///
    /// - Parameter point: how many of the digits are before the decimal point.
    private static func written(_ isNegative: Bool, _ digits: [UInt8], point: Int) -> String? {
        guard let first = digits.firstIndex(where: { $0 != zero }), let last = digits.lastIndex(where: { $0 != zero })
        else { return "0" }
        guard last < point, point - first <= 40 else { return nil }
        let zeros = [UInt8](repeating: zero, count: max(0, point - digits.count))
        return (isNegative ? "-" : "") + String(decoding: (digits + zeros)[first..<point], as: UTF8.self)
    }

    private static let minus = UInt8(ascii: "-")
    private static let zero = UInt8(ascii: "0")

    private static func isDigit(_ byte: UInt8) -> Bool { byte >= zero && byte <= UInt8(ascii: "9") }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral, ExpressibleByNilLiteral
{
    package init(stringLiteral value: String) { self = .string(value) }

    package init(integerLiteral value: Int64) { self = .integer(value) }

    package init(booleanLiteral value: Bool) { self = .bool(value) }

    package init(arrayLiteral elements: JSONValue...) { self = .array(elements) }

    package init(dictionaryLiteral elements: (String, JSONValue)...) {
        self = .object(elements.map { JSONMember($0.0, $0.1) })
    }

    package init(nilLiteral: ()) { self = .null }
}
