import CommandLineKit
import Foundation
import StockFormats
import StockQueue
import StockQueuePostgres

/// Points in the past, as people write them.
private enum PastTime {
    static let expectation =
        "a time like 2026-03-01T12:00:00Z, a day like 2026-03-01, today or yesterday, or a span before now like 90s or 7d"

    /// Days begin at midnight in the time zone of the terminal.
    static func microsecondsSince2000(_ word: String) -> Int64? {
        switch word {
        case "today": midnight(daysAgo: 0)
        case "yesterday": midnight(daysAgo: 1)
        default:
            RFC3339.microsecondsSince2000(Array(word.utf8)[...]) ?? midnight(of: word)
        }
    }

    private static func midnight(daysAgo: Int32) -> Int64 {
        var now = time(nil)
        var parts = tm()
        localtime_r(&now, &parts)
        parts.tm_mday -= daysAgo
        return midnight(&parts)
    }

    private static func midnight(of day: String) -> Int64? {
        // In UTC it exists if the day exists.
        guard RFC3339.microsecondsSince2000(Array("\(day)T00:00:00Z".utf8)[...]) != nil else { return nil }
        let numbers = day.split(separator: "-").compactMap { Int32($0) }
        guard numbers.count == 3 else { return nil }
        var parts = tm()
        (parts.tm_year, parts.tm_mon, parts.tm_mday) = (numbers[0] - 1_900, numbers[1] - 1, numbers[2])
        return midnight(&parts)
    }

    private static func midnight(_ parts: inout tm) -> Int64 {
        (parts.tm_hour, parts.tm_min, parts.tm_sec, parts.tm_isdst) = (0, 0, 0, -1)
        return Timestamp(Date(timeIntervalSince1970: Double(mktime(&parts)))).microsecondsSince2000
    }
}

extension ValueType where Value == PastMoment {
    /// A time, or a span before now.
    static var pastMoment: Self {
        Self("TIME", shape: .time, expectation: PastTime.expectation) { word in
            if let span = Duration(text: word) { return .ago(span) }
            return PastTime.microsecondsSince2000(word).map { .at(Timestamp(microsecondsSince2000: $0)) }
        }
    }
}

extension ValueType where Value == Duration {
    /// A span before now, also written as the time at which it begins; then it is a second longer, for clocks differ.
    static var pastSpan: Self {
        Self("TIME", shape: .time, expectation: PastTime.expectation) { word in
            if let span = Duration(text: word) { return span }
            guard let time = PastTime.microsecondsSince2000(word) else { return nil }
            let seconds = (Timestamp(Date()).microsecondsSince2000 - time) / 1_000_000 + 1
            return seconds > 0 ? .seconds(seconds) : nil
        }
    }
}
