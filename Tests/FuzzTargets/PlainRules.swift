import Foundation
import StockQueue

/// What docs/reference says of values, written a second time and without regard to speed.
enum PlainRules {
    static let most: Int128 = 9_007_199_254_740_991

    /// - Returns: nil for bytes that are no text.
    static func text(_ bytes: [UInt8]) -> String? {
        bytes.contains(0) ? nil : String(bytes: bytes, encoding: .utf8)
    }

    static func isText(_ bytes: [UInt8], longest: Int) -> Bool { bytes.count <= longest && text(bytes) != nil }

    static func number(_ bytes: [UInt8]) -> Int128? {
        let signs = Set("+-".utf8)
        let digits = bytes.first.map(signs.contains) == true ? bytes.dropFirst() : bytes[...]
        guard !digits.isEmpty, digits.allSatisfy(Set("0123456789".utf8).contains) else { return nil }
        let significant = digits.drop { $0 == UInt8(ascii: "0") }
        if significant.count > 30 { return .max }
        let value = Int128(String(decoding: significant, as: UTF8.self)) ?? 0
        return bytes.first == UInt8(ascii: "-") ? -value : value
    }

    static func flag(_ bytes: [UInt8]) -> Bool? {
        guard bytes.allSatisfy({ $0 < 0x80 }) else { return nil }
        switch String(decoding: bytes, as: UTF8.self).lowercased() {
        case "true", "t", "yes", "y", "on", "1": return true
        case "false", "f", "no", "n", "off", "0": return false
        default: return nil
        }
    }

    /// `2026-03-01T12:00[:00[.000000]]` and a zone: `Z`, `+02`, `+0200` or `+02:00`.
    static func isTimestamp(_ bytes: [UInt8]) -> Bool {
        var rest = bytes[...]
        func digits(_ count: Int) -> Int? {
            let part = rest.prefix(count)
            guard part.count == count, part.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
            rest = rest.dropFirst(count)
            return part.reduce(0) { $0 * 10 + Int($1 - 0x30) }
        }
        func skip(_ letters: String) -> Bool {
            guard let first = rest.first, letters.utf8.contains(first) else { return false }
            rest = rest.dropFirst()
            return true
        }
        guard let year = digits(4), skip("-"), let month = digits(2), skip("-"), let day = digits(2), skip("Tt "),
            let hour = digits(2), skip(":"), let minute = digits(2)
        else { return false }
        var second = 0
        if skip(":") {
            guard let given = digits(2) else { return false }
            second = given
            if skip(".") {
                let fraction = rest.prefix { (0x30...0x39).contains($0) }
                guard (1...6).contains(fraction.count) else { return false }
                rest = rest.dropFirst(fraction.count)
            }
        }
        var zone = (0, 0)
        if !skip("Zz") {
            guard skip("+-"), let hours = digits(2) else { return false }
            let hasColon = skip(":")
            let minutes = digits(2)
            if hasColon && minutes == nil { return false }
            zone = (hours, minutes ?? 0)
        }
        return rest.isEmpty && isDate(year, month, day) && hour < 24 && minute < 60 && second < 60
            && zone.0 < 16 && zone.1 < 60
    }

    /// Whether counting the days and back gives the same date.
    private static func isDate(_ year: Int, _ month: Int, _ day: Int) -> Bool {
        guard year > 0, (1...12).contains(month), (1...31).contains(day) else { return false }
        func isLeap(_ year: Int) -> Bool { year % 400 == 0 || year % 4 == 0 && year % 100 != 0 }
        let lengths = [31, isLeap(year) ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        let dayOfYear = lengths[..<(month - 1)].reduce(0, +) + day
        var left = dayOfYear
        let found = lengths.firstIndex { length in
            if left <= length { return true }
            left -= length
            return false
        }
        return found == month - 1 && left == day
    }
}
