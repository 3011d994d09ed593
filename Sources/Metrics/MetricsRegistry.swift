import StockQueueLocking

/// The metrics of a process, and what writes them when they are asked for.
///
/// ```swift
/// let registry = MetricsRegistry()
/// let jobs = registry.counters("jobs", "Jobs that were finished.", labels: ["outcome"])
/// let applied = jobs["applied"]
/// applied.add(12)
/// let page = registry.exposition(.text)
/// ```
///
/// A family is written in the order in which it was made. Recording never waits for a scrape longer than it takes to
/// copy one metric.
package final class MetricsRegistry: Sendable {
    private let writers = Mutex<[@Sendable (inout Exposition) -> Void]>([])

    package init() {}

    // MARK: making metrics

    /// Adds counters that differ in the values of their labels.
    ///
    /// - Parameter name: without `_total`, which is added where the format wants it.
    package func counters(_ name: String, _ help: String, labels: [String] = []) -> MetricFamily<Counter> {
        add(MetricFamily(MetricDescription(name, help, .counter, labels), make: { Counter() }))
    }

    /// Adds a counter without labels.
    package func counter(_ name: String, _ help: String) -> Counter { counters(name, help)[] }

    /// Adds gauges that differ in the values of their labels.
    package func gauges(_ name: String, _ help: String, labels: [String] = []) -> MetricFamily<Gauge> {
        add(MetricFamily(MetricDescription(name, help, .gauge, labels), make: { Gauge() }))
    }

    /// Adds a gauge without labels.
    package func gauge(_ name: String, _ help: String) -> Gauge { gauges(name, help)[] }

    /// Adds histograms that differ in the values of their labels.
    ///
    /// - Parameter bounds: the highest values of the buckets, ascending. One more bucket has what is beyond.
    package func histograms(
        _ name: String, _ help: String, bounds: [Double], labels: [String] = []
    ) -> MetricFamily<Histogram> {
        add(MetricFamily(MetricDescription(name, help, .histogram, labels), make: { Histogram(bounds: bounds) }))
    }

    /// Adds a histogram without labels.
    package func histogram(_ name: String, _ help: String, bounds: [Double]) -> Histogram {
        histograms(name, help, bounds: bounds)[]
    }

    /// Adds metrics whose values are read when they are written.
    package func onScrape(_ write: @escaping @Sendable (inout Exposition) -> Void) {
        writers.withLock { $0.append(write) }
    }

    private func add<Metric>(_ family: MetricFamily<Metric>) -> MetricFamily<Metric> {
        onScrape { family.write(to: &$0) }
        return family
    }

    // MARK: writing

    /// Every metric as it is now.
    package func exposition(_ format: ExpositionFormat) -> [UInt8] {
        var exposition = Exposition(format)
        for write in writers.withLock({ $0 }) { write(&exposition) }
        return exposition.finished
    }
}

/// The metrics of one name. They differ in the values of their labels.
package final class MetricFamily<Metric: MetricValue>: Sendable {
    private struct Members: Sendable {
        var order: [(values: [String], metric: Metric)] = []
        var positions: [[String]: Int] = [:]
    }

    private let description: MetricDescription
    private let make: @Sendable () -> Metric
    private let members = Mutex(Members())

    init(_ description: MetricDescription, make: @escaping @Sendable () -> Metric) {
        self.description = description
        self.make = make
    }

    /// The metric with these values of the labels, in the order of the labels; made with 0 at the first call. Keep it
    /// where it is needed often.
    package subscript(values: String...) -> Metric {
        precondition(values.count == description.labels.count, "\(description.name) has other labels")
        return members.withLock { members in
            if let position = members.positions[values] { return members.order[position].metric }
            let metric = make()
            members.positions[values] = members.order.count
            members.order.append((values, metric))
            return metric
        }
    }

    func write(to exposition: inout Exposition) {
        exposition.begin(description)
        for member in members.withLock({ $0.order }) {
            let labels = zip(description.labels, member.values).map { ($0, $1) }
            member.metric.write(description, labels, to: &exposition)
        }
    }
}

/// What a scrape says of a metric before its values.
package struct MetricDescription: Sendable {
    package enum Kind: String, Sendable { case counter, gauge, histogram }

    let name: String
    let help: String
    let kind: Kind
    let labels: [String]

    /// - Parameters:
    ///   - name: without `_total`. A mistake in a name ends the process: it is part of the program.
    ///   - help: a sentence.
    package init(_ name: String, _ help: String, _ kind: Kind, _ labels: [String] = []) {
        precondition(!name.hasSuffix("_total") && ([name] + labels).allSatisfy(Self.isName), "no metric: \(name)")
        self.name = name
        self.help = help
        self.kind = kind
        self.labels = labels
    }

    /// The unit, where the name ends in one.
    var unit: String? { ["seconds", "bytes"].first { name.hasSuffix("_\($0)") } }

    private static func isName(_ text: String) -> Bool {
        guard let first = text.utf8.first, !(0x30...0x39).contains(first) else { return false }
        return text.utf8.allSatisfy { (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x5F }
    }
}

/// A metric that can be written.
package protocol MetricValue: Sendable {
    func write(_ description: MetricDescription, _ labels: [(String, String)], to exposition: inout Exposition)
}
