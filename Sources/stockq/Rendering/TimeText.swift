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

    private static func padded(_ number: Int) -> String { number < 10 ? "0\(number)" : String(number) }
}

extension Timestamp {
    /// On a terminal the time in its time zone, to the second: `2026-03-01 13:00:00`. Elsewhere RFC 3339 in UTC.
    var shown: String {
        let isFinite = microsecondsSince2000 != .max && microsecondsSince2000 != .min
        return Terminal.outputIsTerminal && isFinite ? TimeText.local(self) : description
    }
}
