import CommandLineKit
import StockQueuePostgres

extension ValueType where Value == Duration {
    /// A span of time such as `90s`, `15m`, `24h` or `7d`, at most 100 years.
    static var duration: Self {
        Self("SPAN", shape: .duration, expectation: "a span of time like 90s, 15m, 24h or 7d") { Duration(text: $0) }
    }
}

extension Option where Value == Duration {
    /// A span of time with a default.
    init(_ name: String, _ type: ValueType<Duration>, default defaultValue: Duration, help: String) {
        self.init(name, type, default: defaultValue, defaultText: defaultValue.text, help: help)
    }
}
