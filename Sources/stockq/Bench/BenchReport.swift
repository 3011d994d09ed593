import Foundation

/// One line of the bench's table.
struct Figure: Codable {
    var name: String
    var title: String
    /// The median of the samples, or the one figure there is.
    var value: Double
    var unit: String
    var samples: [Double] = []
    var target: Target?
    var detail: String?
    var timesBaseline: Double?
    var timesCeiling: Double?

    struct Target: Codable {
        var bound: Double
        /// False: at most.
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

    /// Large numbers whole and grouped, small ones with two digits that matter.
    static func number(_ value: Double) -> String {
        if value.magnitude >= 100 { return grouped(Int(value.rounded())) }
        return String(format: value.magnitude >= 10 ? "%.1f" : value.magnitude >= 1 ? "%.2f" : "%.3f", value)
    }
}

extension Figure.Target {
    static func atLeast(_ bound: Double) -> Figure.Target { .init(bound: bound, isAtLeast: true) }
    static func atMost(_ bound: Double) -> Figure.Target { .init(bound: bound, isAtLeast: false) }
}

/// The bench's outcome: a table, JSON, and a chart.
struct BenchReport: Codable {
    var version: String
    var postgres: String
    var cores: Int
    var memoryGiB: Int
    var configuration: [String: String]
    var rounds: Int
    var seconds: Double
    var figures: [Figure]
    /// The rounds of the held-back vacuum, in jobs/s.
    var heldBackRounds: [Double]

    var table: String {
        let heading = ["", "figure", "unit", "target", "met", "× baseline", "× ceiling", "samples"]
        let rows = figures.map { figure in
            [
                figure.title, Figure.number(figure.value), figure.unit, figure.target?.text ?? "–",
                figure.isMet.map { $0 ? "yes" : "NO" } ?? "–",
                figure.timesBaseline.map { Figure.number($0) } ?? "–",
                figure.timesCeiling.map { Figure.number($0) } ?? "–",
                figure.samples.count > 1
                    ? figure.samples.map(Figure.number).joined(separator: " ") : figure.detail ?? "",
            ]
        }
        return stockq.table([heading] + rows)
    }

    var json: String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        encoder.keyEncodingStrategy = .convertToSnakeCase
        guard let data = try? encoder.encode(self) else { return "{}" }  // plain numbers and texts always encode
        return String(decoding: data, as: UTF8.self) + "\n"
    }

    // MARK: the chart

    private static let charted = [
        "baseline", "ceiling", "drain", "one_lane", "orders", "deferred", "hot_item", "backlog", "steady",
    ]

    /// Rates as bars, and below them the rounds under a held-back vacuum.
    var svg: String {
        let bars = Self.charted.compactMap { name in figures.first { $0.name == name } }
        let most = max(1, bars.map(\.value).max() ?? 1)
        let barHeight = 24
        let left = 300
        let width = 520
        var lines: [String] = []
        var y = 44
        for bar in bars {
            let length = max(1, Int(bar.value / most * Double(width)))
            let colour = ["baseline", "ceiling"].contains(bar.name) ? "#9aa5b1" : "#2f6f9f"
            lines.append(
                "<text x=\"\(left - 8)\" y=\"\(y + 16)\" text-anchor=\"end\">\(Self.escaped(bar.title))</text>")
            lines.append("<rect x=\"\(left)\" y=\"\(y + 2)\" width=\"\(length)\" height=\"18\" fill=\"\(colour)\"/>")
            lines.append("<text x=\"\(left + length + 6)\" y=\"\(y + 16)\">\(Figure.number(bar.value))</text>")
            y += barHeight
        }
        if !heldBackRounds.isEmpty {
            y += 40
            lines.append(
                "<text x=\"20\" y=\"\(y)\" class=\"head\">Vacuum held back: rounds of 100,000 jobs, jobs/s</text>")
            let base = y + 120
            let step = min(50, (left + width - 20) / heldBackRounds.count)
            let top = max(1, heldBackRounds.max() ?? 1)
            for (index, rate) in heldBackRounds.enumerated() {
                let height = Int(rate / top * 90)
                let x = 20 + index * step
                lines.append(
                    "<rect x=\"\(x)\" y=\"\(base - height)\" width=\"\(step - 6)\" height=\"\(height)\" fill=\"#2f6f9f\"/>"
                )
                lines.append(
                    "<text x=\"\(x + (step - 6) / 2)\" y=\"\(base + 16)\" text-anchor=\"middle\">\(Int(rate / 1_000))k</text>"
                )
            }
            y = base + 30
        }
        return """
            <svg xmlns="http://www.w3.org/2000/svg" width="\(left + width + 100)" height="\(y + 16)" font-family="sans-serif" font-size="13">
            <style>text { fill: #243b53 } .head { font-weight: bold }</style>
            <rect width="100%" height="100%" fill="#ffffff"/>
            <text x="20" y="28" class="head">jobs a second on \(cores) cores, server and workers together</text>
            \(lines.joined(separator: "\n"))
            </svg>

            """
    }

    private static func escaped(_ text: String) -> String {
        text.replacingOccurrences(of: "&", with: "&amp;").replacingOccurrences(of: "<", with: "&lt;")
    }
}
