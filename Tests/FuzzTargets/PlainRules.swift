import Foundation

/// The rules of docs/reference for values, written a second time and without regard to speed.
enum PlainRules {
    static let quantityMax: Int128 = 9_007_199_254_740_991

    /// - Returns: nil for bytes that are not a text.
    static func text(_ bytes: [UInt8]) -> String? {
        bytes.contains(0) ? nil : String(bytes: bytes, encoding: .utf8)
    }

    static func isText(_ bytes: [UInt8], bytesMax: Int) -> Bool { bytes.count <= bytesMax && text(bytes) != nil }

    /// A text of at most 200 bytes in which every character shows, with spaces only between others.
    static func isID(_ bytes: [UInt8]) -> Bool {
        guard isText(bytes, bytesMax: 200), let id = text(bytes) else { return false }
        return !id.hasPrefix(" ") && !id.hasSuffix(" ") && id.unicodeScalars.allSatisfy { !hidden.contains($0.value) }
    }

    private static let hidden: Set<UInt32> = {
        let ranges = """
            1-1f 7f-a0 ad 34f 61c 115f-1160 1680 17b4-17b5 180b-180f 2000-200f 2028-202f 205f-206f 2800 3000 3164 \
            fe00-fe0f feff ffa0 fff0-fffb 1bca0-1bca3 1d173-1d17a e0000-e0fff
            """
        return Set(
            ranges.split(separator: " ").flatMap { range in
                let ends = range.split(separator: "-").map { UInt32($0, radix: 16)! }
                return ends[0]...(ends.last!)
            })
    }()

    /// White space, or nothing.
    static func isBlank(_ bytes: [UInt8]) -> Bool {
        String(bytes: bytes, encoding: .utf8)?.unicodeScalars.allSatisfy(\.properties.isWhitespace) == true
    }

    /// Digits with an optional sign, with blanks around them and zeros behind a point or a comma; not one to three digits
    /// and three zeros, which may be thousands.
    static func number(_ bytes: [UInt8]) -> Int128? {
        if let number = integer(bytes) { return number }
        guard let text = String(bytes: bytes, encoding: .utf8) else { return nil }
        var scalars = Array(text.unicodeScalars)
        while scalars.last?.properties.isWhitespace == true { scalars.removeLast() }
        scalars = Array(scalars.drop { $0.properties.isWhitespace })
        if let point = scalars.firstIndex(where: { $0 == "." || $0 == "," }), point < scalars.count - 1,
            scalars[(point + 1)...].allSatisfy({ $0 == "0" })
        {
            let zeros = scalars.count - point - 1
            scalars = Array(scalars[..<point])
            let whole = integer(scalars.flatMap { Array(UTF8.encode($0)!) })
            return zeros == 3 && (1...999).contains(whole?.magnitude ?? 0) ? nil : whole
        }
        return integer(scalars.flatMap { Array(UTF8.encode($0)!) })
    }

    /// An id in a file: not a long number that a spreadsheet has rounded.
    static func isFileID(_ bytes: [UInt8]) -> Bool {
        let isRounded =
            String(decoding: bytes, as: UTF8.self)
            .wholeMatch(of: /[0-9]+([.,][0-9]+)?[eE]\+[0-9]+/) != nil
        return isID(bytes) && !isRounded
    }

    private static func integer(_ bytes: [UInt8]) -> Int128? {
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
        case "true", "t", "yes", "y", "on", "1", "wahr", "vrai", "verdadero", "vero", "verdadeiro", "waar": return true
        case "false", "f", "no", "n", "off", "0", "falsch", "faux", "falso", "onwaar": return false
        default: return nil
        }
    }

    /// The moments of the years from 1 to 9999 in UTC.
    static let years =
        timestamp(Array("0001-01-01T00:00Z".utf8))!...timestamp(Array("9999-12-31T23:59:59.999999Z".utf8))!

    /// `2026-03-01T12:00[:00[.000000]]` and a zone, with a blank before it or not: `Z`, `+02`, `+0200` or `+02:00`.
    ///
    /// - Returns: microseconds since 2000-01-01 00:00 UTC; nil for another text.
    static func timestamp(_ bytes: [UInt8]) -> Int64? {
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
        else { return nil }
        var second = 0
        var microsecond = 0
        if skip(":") {
            guard let given = digits(2) else { return nil }
            second = given
            if skip(".") {
                let fraction = rest.prefix { (0x30...0x39).contains($0) }
                guard (1...6).contains(fraction.count) else { return nil }
                rest = rest.dropFirst(fraction.count)
                let digits = String(decoding: fraction, as: UTF8.self)
                microsecond = Int(digits.padding(toLength: 6, withPad: "0", startingAt: 0)) ?? 0
            }
        }
        _ = skip(" ")
        var zone = (0, 0)
        var isWest = false
        if !skip("Zz") {
            isWest = rest.first == UInt8(ascii: "-")
            guard skip("+-"), let hours = digits(2) else { return nil }
            let hasColon = skip(":")
            let minutes = digits(2)
            if hasColon && minutes == nil { return nil }
            zone = (hours, minutes ?? 0)
        }
        guard rest.isEmpty, let days = days(year, month, day), hour < 24, minute < 60, second < 60, zone.0 < 16,
            zone.1 < 60
        else { return nil }
        let zoneMinutes = (zone.0 * 60 + zone.1) * (isWest ? -1 : 1)
        let seconds = ((days * 24 + hour) * 60 + minute - zoneMinutes) * 60 + second
        return Int64(seconds) * 1_000_000 + Int64(microsecond)
    }

    /// Days since 2000-01-01, counted year by year; nil for a date that does not exist.
    private static func days(_ year: Int, _ month: Int, _ day: Int) -> Int? {
        func isLeap(_ year: Int) -> Bool { year % 400 == 0 || year % 4 == 0 && year % 100 != 0 }
        let lengths = [31, isLeap(year) ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        guard year > 0, (1...12).contains(month), (1...lengths[month - 1]).contains(day) else { return nil }
        var days = lengths[..<(month - 1)].reduce(0, +) + day - 1
        for whole in min(year, 2000)..<max(year, 2000) {
            let length = isLeap(whole) ? 366 : 365
            days += year > 2000 ? length : -length
        }
        return days
    }
}
