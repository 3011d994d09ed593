import struct Synchronization.Atomic  // not its Mutex: StockQueueLocking has one that ThreadSanitizer knows

/// A number that only rises.
package final class Counter: MetricValue {
    private let count = Atomic<Int64>(0)

    init() {}

    package func add(_ number: Int = 1) {
        assert(number >= 0)
        if number > 0 { count.add(Int64(number), ordering: .relaxed) }
    }

    package var value: Int64 { count.load(ordering: .relaxed) }

    package func write(
        _ description: MetricDescription, _ labels: [(String, String)], to exposition: inout Exposition
    ) {
        exposition.sample(description, labels, Double(value))
    }
}

/// A number that rises and falls.
package final class Gauge: MetricValue {
    private let bits = Atomic<UInt64>(Double(0).bitPattern)

    init() {}

    package func set(_ value: Double) { bits.store(value.bitPattern, ordering: .relaxed) }

    package var value: Double { Double(bitPattern: bits.load(ordering: .relaxed)) }

    package func write(
        _ description: MetricDescription, _ labels: [(String, String)], to exposition: inout Exposition
    ) {
        exposition.sample(description, labels, value)
    }
}
