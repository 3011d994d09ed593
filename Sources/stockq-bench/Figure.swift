import CommandLineKit
import Foundation

/// One line of the bench's table.
struct Figure: Codable {
    var name: String
    var title: String
    /// The median of the samples.
    var value: Double
    var unit: String
    var samples: [Double] = []
    var target: Target?
    var detail: String?
    var timesBaseline: Double?
    var timesUpperBound: Double?

    struct Target: Codable {
        var bound: Double
        /// False if the bound is an upper one.
        var isAtLeast: Bool

        var text: String { (isAtLeast ? "≥ " : "≤ ") + Figure.number(bound) }
    }

    init(_ name: String, _ title: String, unit: String, samples: [Double], target: Target? = nil, detail: String? = nil)
    {
        self.name = name
        self.title = title
        self.unit = unit
        self.samples = samples
        self.target = target
        self.detail = detail
        value = Self.median(samples)
    }

    var isMet: Bool? { target.map { $0.isAtLeast ? value >= $0.bound : value <= $0.bound } }

    static func median(_ samples: [Double]) -> Double {
        let sorted = samples.sorted()
        if sorted.isEmpty { return 0 }
        let middle = sorted.count / 2
        return sorted.count.isMultiple(of: 2) ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
    }

    /// Large numbers as whole numbers in groups, small ones with three significant digits.
    static func number(_ value: Double) -> String {
        if value.magnitude >= 100 { return grouped(Int(value.rounded())) }
        return String(format: value.magnitude >= 10 ? "%.1f" : value.magnitude >= 1 ? "%.2f" : "%.3f", value)
    }
}

extension Figure.Target {
    static func atLeast(_ bound: Double) -> Figure.Target { .init(bound: bound, isAtLeast: true) }
    static func atMost(_ bound: Double) -> Figure.Target { .init(bound: bound, isAtLeast: false) }
}
