import CommandLineKit
import StockFormats
import StockQueuePostgres

/// A point in time, or a span from now by the database's clock.
enum Moment: Sendable {
    case at(microsecondsSince2000: Int64)
    case after(Duration)

    var microsecondsSince2000: Int64? { if case .at(let microseconds) = self { microseconds } else { nil } }

    var delay: Duration? { if case .after(let delay) = self { delay } else { nil } }
}

extension ValueType where Value == Moment {
    static var moment: Self {
        Self(
            "TIME", shape: .time, expectation: "a time like 2026-03-01T12:00:00Z, or a span from now like +90s or +15m"
        ) { word in
            if word.hasPrefix("+") { return Duration(text: String(word.dropFirst())).map { .after($0) } }
            return RFC3339.microsecondsSince2000(Array(word.utf8)[...]).map { .at(microsecondsSince2000: $0) }
        }
    }
}

extension ValueType where Value == Int64 {
    /// A point in time, in microseconds since 2000.
    static var time: Self {
        Self("TIME", shape: .time, expectation: "a time with its zone like 2026-03-01T12:00:00Z") { word in
            RFC3339.microsecondsSince2000(Array(word.utf8)[...])
        }
    }
}
