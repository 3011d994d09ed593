import CommandLineKit
import StockFormats
import StockQueue
import StockQueuePostgres

extension ValueType where Value == PastMoment {
    /// A time, or a span before now.
    static var pastMoment: Self {
        Self(
            "TIME", shape: .time, expectation: "a time like 2026-03-01T12:00:00Z, or a span before now like 90s or 7d"
        ) { word in
            if let span = Duration(text: word) { return .ago(span) }
            return RFC3339.microsecondsSince2000(Array(word.utf8)[...]).map {
                .at(Timestamp(microsecondsSince2000: $0))
            }
        }
    }
}
