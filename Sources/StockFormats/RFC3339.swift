/// Timestamps as text: RFC 3339 with a zone, read into and written from microseconds since 2000-01-01 00:00 UTC.
///
/// Read is `2026-03-01T12:00[:00[.000000]]` and a zone, `Z`, `+02`, `+0200` or `+02:00`, with `T`, `t` or a blank
/// between date and time and, as Shopify writes it, a blank before the zone. A text with a zone has the same meaning
/// whatever the settings of the server are.
package enum RFC3339 {
    /// - Returns: nil for a text that is not a timestamp with a zone.
    package static func microsecondsSince2000(_ bytes: ArraySlice<UInt8>) -> Int64? {
        var text = Scanner(bytes)
        guard let days = text.date(), text.skipBeforeClock(), let clock = text.clock() else { return nil }
        _ = text.skip(" ")
        guard let zoneMinutes = text.zoneMinutes(), text.isAtEnd else { return nil }
        return Int64(days * 86_400 - zoneMinutes * 60) * 1_000_000 + clock
    }

    /// A time without a zone, as spreadsheets write it: `2026-03-01 12:00[:00]`, `01.03.2026 12:00[:00]`, or the day
    /// alone, which is its first moment.
    ///
    /// - Returns: as if it were a time in UTC; nil for any other text. What is written with `/` may have the month or the
    ///   day first, so it is none.
    static func localMicrosecondsSince2000(_ bytes: ArraySlice<UInt8>) -> Int64? {
        var text = Scanner(bytes)
        if let days = text.date() { return text.localTime(onDay: days) }
        text = Scanner(bytes)
        return text.dottedDate().flatMap { text.localTime(onDay: $0) }
    }

    /// Appends a moment in UTC as PostgreSQL reads it: `2026-03-01 12:00:00.25+00`, also before the year 1 and after
    /// 9999.
    package static func append(_ microsecondsSince2000: Int64, to bytes: inout [UInt8]) {
        if microsecondsSince2000 == .max { return bytes.append(contentsOf: "infinity".utf8) }
        if microsecondsSince2000 == .min { return bytes.append(contentsOf: "-infinity".utf8) }
        let (days, inDay) = flooredDivision(Int(microsecondsSince2000), 86_400_000_000)
        let date = civilDate(daysSince2000: days)
        append(date.year >= 1 ? date.year : 1 - date.year, digits: 4, to: &bytes)
        append(date.month, digits: 2, after: "-", to: &bytes)
        append(date.day, digits: 2, after: "-", to: &bytes)
        let seconds = inDay / 1_000_000
        append(seconds / 3_600, digits: 2, after: " ", to: &bytes)
        append(seconds / 60 % 60, digits: 2, after: ":", to: &bytes)
        append(seconds % 60, digits: 2, after: ":", to: &bytes)
        let fraction = inDay % 1_000_000
        if fraction != 0 { append(fraction, digits: 6, after: ".", to: &bytes) }
        bytes.append(contentsOf: "+00".utf8)
        if date.year < 1 { bytes.append(contentsOf: " BC".utf8) }
    }

    private static func append(
        _ number: Int, digits: Int, after separator: Unicode.Scalar? = nil, to bytes: inout [UInt8]
    ) {
        if let separator { bytes.append(UInt8(ascii: separator)) }
        let text = String(number)
        bytes.append(contentsOf: repeatElement(UInt8(ascii: "0"), count: max(0, digits - text.utf8.count)))
        bytes.append(contentsOf: text.utf8)
    }

    // MARK: the calendar

    private static func daysIn(_ month: Int, _ year: Int) -> Int {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    /// Days of the Gregorian calendar in 400 years.
    private static let daysPerEra = 146_097
    /// From 0000-03-01 to 2000-01-01.
    private static let daysTo2000 = 730_425

    /// Years begin in March, so that the leap day is their last.
    private static func daysSince2000(_ year: Int, _ month: Int, _ day: Int) -> Int {
        let (era, yearOfEra) = flooredDivision(month > 2 ? year : year - 1, 400)
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        return era * daysPerEra + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - daysTo2000
    }

    private static func civilDate(daysSince2000 days: Int) -> (year: Int, month: Int, day: Int) {
        let (era, dayOfEra) = flooredDivision(days + daysTo2000, daysPerEra)
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        let year = era * 400 + yearOfEra + (month <= 2 ? 1 : 0)
        return (year, month, dayOfYear - (153 * monthFromMarch + 2) / 5 + 1)
    }

    private static func flooredDivision(_ value: Int, _ divisor: Int) -> (quotient: Int, remainder: Int) {
        let (quotient, remainder) = value.quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }

    // MARK: bytes

    private struct Scanner {
        private var rest: ArraySlice<UInt8>

        init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

        var isAtEnd: Bool { rest.isEmpty }

        private mutating func digit() -> Int? {
            guard let byte = rest.first, byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { return nil }
            rest.removeFirst()
            return Int(byte - UInt8(ascii: "0"))
        }

        mutating func number(digits: Int) -> Int? {
            var number = 0
            for _ in 0..<digits {
                guard let digit = digit() else { return nil }
                number = number * 10 + digit
            }
            return number
        }

        mutating func skip(_ letter: Unicode.Scalar) -> Bool {
            guard rest.first == UInt8(ascii: letter) else { return false }
            rest.removeFirst()
            return true
        }

        mutating func skipBeforeClock() -> Bool { skip("T") || skip("t") || skip(" ") }

        /// `2026-03-01`, in days since 2000-01-01.
        mutating func date() -> Int? {
            guard let year = number(digits: 4), skip("-"), let month = number(digits: 2), skip("-"),
                let day = number(digits: 2)
            else { return nil }
            return days(year, month, day)
        }

        /// `01.03.2026`, in days since 2000-01-01.
        mutating func dottedDate() -> Int? {
            guard let day = number(digits: 2), skip("."), let month = number(digits: 2), skip("."),
                let year = number(digits: 4)
            else { return nil }
            return days(year, month, day)
        }

        private func days(_ year: Int, _ month: Int, _ day: Int) -> Int? {
            guard year >= 1, (1...12).contains(month), day >= 1 && day <= daysIn(month, year) else { return nil }
            return daysSince2000(year, month, day)
        }

        /// `12:00[:00[.000000]]`, in microseconds.
        mutating func clock() -> Int64? {
            guard let hour = number(digits: 2), skip(":"), let minute = number(digits: 2) else { return nil }
            var second = 0
            var fraction = 0
            if skip(":") {
                guard let given = number(digits: 2) else { return nil }
                second = given
                if skip(".") {
                    guard let given = microseconds() else { return nil }
                    fraction = given
                }
            }
            guard hour < 24, minute < 60, second < 60 else { return nil }
            return Int64(hour * 3_600 + minute * 60 + second) * 1_000_000 + Int64(fraction)
        }

        /// What is behind the day, to the end.
        mutating func localTime(onDay days: Int) -> Int64? {
            let day = Int64(days) * 86_400_000_000
            if isAtEnd { return day }
            guard skipBeforeClock(), let clock = clock(), isAtEnd else { return nil }
            return day + clock
        }

        /// One to six digits behind the point.
        mutating func microseconds() -> Int? {
            guard var fraction = digit() else { return nil }
            for _ in 1..<6 { fraction = fraction * 10 + (digit() ?? 0) }
            return fraction
        }

        /// Minutes east of UTC.
        mutating func zoneMinutes() -> Int? {
            if skip("Z") || skip("z") { return 0 }
            let isWest = skip("-")
            guard isWest || skip("+"), let hours = number(digits: 2), hours < 16 else { return nil }
            var minutes = 0
            if skip(":") || !isAtEnd {
                guard let given = number(digits: 2), given < 60 else { return nil }
                minutes = given
            }
            return isWest ? -(hours * 60 + minutes) : hours * 60 + minutes
        }
    }
}
