import CommandLineKit
import Foundation

/// The bench's report: a table, JSON, and a chart.
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
        let heading = ["", "figure", "unit", "target", "met", "× baseline", "× upper bound", "samples"]
        let rows = figures.map { figure in
            [
                figure.title, Figure.number(figure.value), figure.unit, figure.target?.text ?? "–",
                figure.isMet.map { $0 ? "yes" : "NO" } ?? "–",
                figure.timesBaseline.map { Figure.number($0) } ?? "–",
                figure.timesUpperBound.map { Figure.number($0) } ?? "–",
                figure.samples.count > 1
                    ? figure.samples.map(Figure.number).joined(separator: " ") : figure.detail ?? "",
            ]
        }
        return CommandLineKit.table([heading] + rows)
    }

    var json: String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        encoder.keyEncodingStrategy = .convertToSnakeCase
        guard let data = try? encoder.encode(self) else { return "{}" }  // numbers and texts always encode
        return String(decoding: data, as: UTF8.self) + "\n"
    }

    // MARK: chart

    private static let charted = [
        "baseline", "upper_bound", "narrow", "drain", "one_lane", "orders", "keys", "deferred", "hot_item", "backlog",
        "catalog", "steady",
    ]
    private static let references: Set<String> = ["baseline", "upper_bound", "narrow"]

    /// Rates as bars, and below them the rounds of the held-back vacuum.
    var svg: String {
        let bars =
            Self.charted.compactMap { name in figures.first { $0.name == name } }
            + figures.filter { $0.name.hasPrefix("growth_") }
        let valueMax = max(1, bars.map(\.value).max() ?? 1)
        let barHeight = 24
        let labelWidth = 300
        let width = 520
        var lines: [String] = []
        var y = 44
        for bar in bars {
            let length = max(1, Int(bar.value / valueMax * Double(width)))
            let color = Self.references.contains(bar.name) ? "#9aa5b1" : "#2f6f9f"
            lines.append(
                "<text x=\"\(labelWidth - 8)\" y=\"\(y + 16)\" text-anchor=\"end\">\(Self.escaped(bar.title))</text>")
            lines.append(
                "<rect x=\"\(labelWidth)\" y=\"\(y + 2)\" width=\"\(length)\" height=\"18\" fill=\"\(color)\"/>")
            lines.append("<text x=\"\(labelWidth + length + 6)\" y=\"\(y + 16)\">\(Figure.number(bar.value))</text>")
            y += barHeight
        }
        if !heldBackRounds.isEmpty {
            y += 40
            lines.append(
                "<text x=\"20\" y=\"\(y)\" class=\"head\">Vacuum held back: rounds of 100,000 jobs, jobs/s</text>")
            let base = y + 120
            let step = min(50, (labelWidth + width - 20) / heldBackRounds.count)
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
            <svg xmlns="http://www.w3.org/2000/svg" width="\(labelWidth + width + 100)" height="\(y + 16)" font-family="sans-serif" font-size="13">
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
