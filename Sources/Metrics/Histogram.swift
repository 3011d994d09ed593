import StockQueueLocking

/// How often values came, by size.
package final class Histogram: MetricValue {
    private struct State: Sendable {
        var counts: [Int64]
        var sum = 0.0
    }

    /// The highest values of the buckets, ascending.
    package let bounds: [Double]
    private let state: Mutex<State>

    init(bounds: [Double]) {
        precondition(!bounds.isEmpty && zip(bounds, bounds.dropFirst()).allSatisfy { $0 < $1 })
        self.bounds = bounds
        state = Mutex(State(counts: [Int64](repeating: 0, count: bounds.count + 1)))
    }

    package func observe(_ value: Double) {
        var (low, high) = (0, bounds.count)
        while low < high {
            let middle = (low + high) / 2
            if bounds[middle] < value { low = middle + 1 } else { high = middle }
        }
        state.withLock { state in
            state.counts[low] += 1
            state.sum += value
        }
    }

    /// Adds values that were counted elsewhere.
    ///
    /// - Parameters:
    ///   - counts: for each bucket; the last one has the values beyond all bounds.
    ///   - sum: of the values.
    package func add(_ counts: [Int], sum: Double) {
        precondition(counts.count == bounds.count + 1, "the values were counted with other bounds")
        state.withLock { state in
            for (index, count) in counts.enumerated() { state.counts[index] += Int64(count) }
            state.sum += sum
        }
    }

    /// How many values came.
    package var count: Int64 { state.withLock { $0.counts.reduce(0, +) } }

    package func write(
        _ description: MetricDescription, _ labels: [(String, String)], to exposition: inout Exposition
    ) {
        let state = state.withLock { $0 }
        var total: Int64 = 0
        for (bound, count) in zip(bounds + [.infinity], state.counts) {
            total += count
            exposition.sample(
                description, labels + [("le", Exposition.text(ofBound: bound))], Double(total), suffix: "_bucket")
        }
        exposition.sample(description, labels, state.sum, suffix: "_sum")
        exposition.sample(description, labels, Double(total), suffix: "_count")
    }
}
