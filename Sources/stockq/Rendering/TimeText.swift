import CommandLineKit
import Foundation
import StockQueuePostgres

/// Times for people.
enum TimeText {
    static let utc = Flag("utc", help: "show times in UTC; on a terminal they are in its time zone")

    /// Makes UTC the process's time zone.
    static func useUTC() {
        setenv("TZ", "UTC0", 1)
        tzset()
    }

    fileprivate static func local(_ time: Timestamp) -> String {
        var seconds = time_t(time.date.timeIntervalSince1970.rounded(.down))
        var parts = tm()
        localtime_r(&seconds, &parts)
        let date = [Int(parts.tm_year) + 1_900, Int(parts.tm_mon) + 1, Int(parts.tm_mday)]
        let clock = [parts.tm_hour, parts.tm_min, parts.tm_sec].map { Int($0) }
        return date.map(padded).joined(separator: "-") + " " + clock.map(padded).joined(separator: ":")
    }

    /// Whole units of a span: `45 s`, `90 min`, `23 h`, `5 d`.
    static func span(_ seconds: Double, _ rounding: FloatingPointRoundingRule) -> String {
        let (units, name) =
            switch seconds {
            case ..<120: (seconds, "s")
            case ..<7_200: (seconds / 60, "min")
            case ..<172_800: (seconds / 3_600, "h")
            default: (seconds / 86_400, "d")
            }
        return "\(grouped(Int(units.rounded(rounding)))) \(name)"
    }

    private static func padded(_ number: Int) -> String { number < 10 ? "0\(number)" : String(number) }
}

extension Timestamp {
    /// On a terminal the time in its time zone, to the second: `2026-03-01 13:00:00`. Elsewhere RFC 3339 in UTC.
    var shown: String {
        let isFinite = microsecondsSince2000 != .max && microsecondsSince2000 != .min
        return Terminal.outputIsTerminal && isFinite ? TimeText.local(self) : description
    }

    /// A time to come, and how far away it is: on a terminal `14:13 (in 23 h)`, with its day if that is further away.
    /// Nil for a time that has passed.
    var shownAhead: String? {
        let seconds = date.timeIntervalSinceNow
        if seconds <= 0 { return nil }
        let isNear = Terminal.outputIsTerminal && seconds < 86_400
        let time = isNear ? String(shown.suffix(8).prefix(5)) : shown
        return "\(time) (in \(TimeText.span(seconds, .toNearestOrAwayFromZero)))"
    }
}
