import Foundation
import StockFormats
import Testing

@Suite struct RFC3339Tests {
    private static func microseconds(_ text: String) -> Int64? { RFC3339.microsecondsSince2000(Array(text.utf8)[...]) }

    private static func written(_ microseconds: Int64) -> String {
        var bytes: [UInt8] = []
        RFC3339.append(microseconds, to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    @Test(
        "a timestamp is read as microseconds",
        arguments: [
            ("2000-01-01T00:00:00Z", 0), ("2000-01-01T00:00Z", 0), ("2000-01-01 01:00:00+01", 0),
            ("1999-12-31t23:59:59.999999z", -1), ("2000-03-01T00:00:00.5Z", 5_184_000_500_000),
            ("2026-03-01T12:00:00+0230", 825_672_600_000_000),
            ("1970-01-01T00:00:00-00:30", -946_684_800_000_000 + 1_800_000_000),
        ] as [(String, Int64)])
    func reads(text: String, expected: Int64) { #expect(Self.microseconds(text) == expected) }

    @Test(
        "other texts are not timestamps",
        arguments: [
            "", "2026-03-01", "2026-03-01T12:00:00", "2026-02-29T12:00:00Z", "2026-13-01T12:00:00Z",
            "2026-00-01T12:00:00Z",
            "0000-01-01T00:00:00Z", "2026-03-01T24:00:00Z", "2026-03-01T12:60:00Z", "2026-03-01T12:00:60Z",
            "2026-03-01T12:00:00.Z", "2026-03-01T12:00:00.1234567Z", "2026-03-01T12:00:00+16",
            "2026-03-01T12:00:00+02:60",
            "2026-03-01T12:00:00+02:", "2026-03-01T12:00:00+2", "2026-03-01T12:00:00Z ", " 2026-03-01T12:00:00Z",
            "2026-03-01T12:00:00Z\u{301}", "２026-03-01T12:00:00Z", "infinity", "now",
        ])
    func rejects(text: String) { #expect(Self.microseconds(text) == nil) }

    @Test(
        "a moment is written as PostgreSQL reads it",
        arguments: [
            (0, "2000-01-01 00:00:00+00"), (-1, "1999-12-31 23:59:59.999999+00"),
            (500_000, "2000-01-01 00:00:00.500000+00"), (Int64.max, "infinity"), (Int64.min, "-infinity"),
            (-63_082_281_600_000_000 - 1_000_000, "0001-12-31 23:59:59+00 BC"),
            (252_455_616_000_000_000, "10000-01-01 00:00:00+00"),
        ] as [(Int64, String)])
    func writes(microseconds: Int64, expected: String) { #expect(Self.written(microseconds) == expected) }

    @Test("each day of 800 years is read and written as Foundation counts it")
    func days() {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = .gmt
        let start = Date(timeIntervalSince1970: -5_000_000_000)
        for day in stride(from: 0, to: 292_194, by: 7) {
            let date = start.addingTimeInterval(Double(day) * 86_400)
            let microseconds = Int64(date.timeIntervalSince1970 - 946_684_800) * 1_000_000
            let parts = calendar.dateComponents([.year, .month, .day, .hour, .minute, .second], from: date)
            // Foundation's calendar is Julian before 1582, PostgreSQL's is not; these days are after it.
            let text = Self.written(microseconds)
            #expect(Self.microseconds(text) == microseconds)
            let fields = text.split { !$0.isNumber }.prefix(6).map { Int($0) }
            #expect(fields == [parts.year, parts.month, parts.day, parts.hour, parts.minute, parts.second])
        }
    }

    /// The rule as a regular expression.
    private static func isTimestamp(_ text: String) -> Bool {
        let form = /(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d)(?::(\d\d)(?:\.\d{1,6})?)? ?(?:[Zz]|[+-](\d\d)(?::?(\d\d))?)/
        guard let match = text.wholeMatch(of: form.asciiOnlyDigits()) else { return false }
        func number(_ part: Substring?) -> Int { part.flatMap { Int($0) } ?? 0 }
        let (year, month, day) = (number(match.1), number(match.2), number(match.3))
        let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        let lengths = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        guard year >= 1, (1...12).contains(month), (1...lengths[month - 1]).contains(day) else { return false }
        return number(match.4) < 24 && number(match.5) < 60 && number(match.6) < 60 && number(match.7) < 16
            && number(match.8) < 60
    }

    @Test("exactly the texts of the regular expression are timestamps")
    func property() {
        var random = SystemRandomNumberGenerator()
        func digits(_ count: Int, below limit: Int) -> String {
            let text = String(Int.random(in: 0..<limit, using: &random))
            return String(repeating: "0", count: max(0, count - text.count)) + text
        }
        var accepted = 0
        for _ in 0..<40_000 {
            var text = "\(digits(4, below: 3_000))-\(digits(2, below: 14))-\(digits(2, below: 33))"
            text +=
                ["T", "t", " ", "_"].randomElement(using: &random)! + "\(digits(2, below: 25)):\(digits(2, below: 61))"
            if Bool.random(using: &random) {
                text += ":\(digits(2, below: 61))"
                if Bool.random(using: &random) {
                    text += "." + digits(Int.random(in: 0...7, using: &random), below: 1_000)
                }
            }
            text += [
                "Z", "z", "+\(digits(2, below: 17))", "-\(digits(2, below: 17))\(digits(2, below: 61))",
                "+\(digits(2, below: 17)):\(digits(2, below: 61))", "",
            ].randomElement(using: &random)!
            if Int.random(in: 0..<4, using: &random) == 0 {
                let index = text.indices.randomElement(using: &random)!
                let letter = ["0", "9", "Z", ":", "-", " ", "é", "٣", ""].randomElement(using: &random)!
                text.replaceSubrange(index...index, with: letter)
            }
            let expected = Self.isTimestamp(text)
            if expected { accepted += 1 }
            #expect((Self.microseconds(text) != nil) == expected, "\(text)")
        }
        #expect(accepted > 4_000)
    }
}
