/// The formats in which metrics are written.
package enum ExpositionFormat: Sendable {
    /// The text format of Prometheus, version 0.0.4.
    case text
    /// OpenMetrics, version 1.0.0.
    case openMetrics

    package var contentType: String {
        switch self {
        case .text: "text/plain; version=0.0.4; charset=utf-8"
        case .openMetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
        }
    }

    /// The format that a client prefers; the text format where it does not say.
    ///
    /// - Parameter accept: the value of its `Accept` field (RFC 9110, 12.5.1).
    package init(accept: String?) {
        var (text, openMetrics) = (0.0, 0.0)
        for range in (accept ?? "").lowercased().split(separator: ",") {
            let parts = range.split(separator: ";").map { $0.filter { $0 != " " && $0 != "\t" && $0 != "\"" } }
            func parameter(_ name: String) -> Substring? {
                parts.dropFirst().first { $0.hasPrefix("\(name)=") }.map { $0.dropFirst(name.count + 1) }
            }
            let quality = parameter("q").map { Double($0) ?? 0 } ?? 1
            switch parts.first {
            case "application/openmetrics-text" where ["1.0.0", "0.0.1", nil].contains(parameter("version")):
                openMetrics = max(openMetrics, quality)
            case "text/plain", "text/*", "*/*": text = max(text, quality)
            default: break
            }
        }
        self = openMetrics > 0 && openMetrics >= text ? .openMetrics : .text
    }
}

/// Metrics as text, family by family.
package struct Exposition: Sendable {
    private let format: ExpositionFormat
    private var bytes: [UInt8] = []

    init(_ format: ExpositionFormat) {
        self.format = format
        bytes.reserveCapacity(32 << 10)
    }

    var finished: [UInt8] { format == .openMetrics ? bytes + Array("# EOF\n".utf8) : bytes }

    /// Begins a family: all its samples follow.
    package mutating func begin(_ description: MetricDescription) {
        let name = description.name + (format == .text && description.kind == .counter ? "_total" : "")
        append("# HELP \(name) \(escaped(description.help, quotes: format == .openMetrics))\n")
        append("# TYPE \(name) \(description.kind.rawValue)\n")
        if format == .openMetrics, let unit = description.unit { append("# UNIT \(name) \(unit)\n") }
    }

    /// Writes one value of the family that was begun.
    ///
    /// - Parameter suffix: of a histogram's parts.
    package mutating func sample(
        _ description: MetricDescription, _ labels: [(String, String)] = [], _ value: Double, suffix: String = ""
    ) {
        append(description.name + (description.kind == .counter ? "_total" : suffix))
        if !labels.isEmpty {
            append("{")
            for (index, label) in labels.enumerated() {
                append("\(index > 0 ? "," : "")\(label.0)=\"\(escaped(label.1, quotes: true))\"")
            }
            append("}")
        }
        append(" \(Self.text(of: value))\n")
    }

    /// Writes a family that has its values now.
    package mutating func family(
        _ kind: MetricDescription.Kind, _ name: String, _ help: String, labels: [String] = [],
        _ values: [(labels: [String], value: Double)]
    ) {
        let description = MetricDescription(name, help, kind, labels)
        begin(description)
        for value in values { sample(description, zip(labels, value.labels).map { ($0, $1) }, value.value) }
    }

    private mutating func append(_ text: String) { bytes.append(contentsOf: text.utf8) }

    private func escaped(_ text: String, quotes: Bool) -> String {
        guard text.utf8.contains(where: { $0 == 0x5C || $0 == 0x0A || quotes && $0 == 0x22 }) else { return text }
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\"" where quotes: result += "\\\""
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    /// Whole numbers without a point, as most values are counts.
    static func text(of value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value > 0 ? "+Inf" : "-Inf" }
        return Int64(exactly: value).map { String($0) } ?? String(value)
    }

    /// The same in both formats, so that a change of the format does not begin another series.
    static func text(ofBound bound: Double) -> String { bound.isInfinite ? "+Inf" : String(bound) }
}
