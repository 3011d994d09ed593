import StockDecision
import StockQueuePostgres

/// How long the jobs of a batch took from their enqueueing to the commit of their results.
public struct JobLatencies: Sendable, Hashable {
    /// The longest time of each bucket, ascending. One more bucket has what took longer.
    public static let bounds: [Duration] = [
        .milliseconds(1), .microseconds(2_500), .milliseconds(5), .milliseconds(10), .milliseconds(25),
        .milliseconds(50), .milliseconds(100), .milliseconds(250), .milliseconds(500), .seconds(1),
        .milliseconds(2_500), .seconds(5), .seconds(10), .seconds(30), .minutes(1), .minutes(5), .minutes(15),
        .hours(1),
    ]

    private static let boundsInMicroseconds = bounds.map { Int64($0 / .microseconds(1)) }

    /// How many jobs are in each bucket.
    public private(set) var counts = [Int](repeating: 0, count: bounds.count + 1)
    /// The time of all jobs together.
    public private(set) var sum = Duration.zero

    init() {}

    /// - Parameters:
    ///   - began: when the transaction of the batch began.
    ///   - duration: from then to the end of its COMMIT.
    init(_ enqueuedAts: [Timestamp], _ jobs: [JobDecision], began: Timestamp, duration: Duration) {
        let committedAt = began.microsecondsSince2000 + Int64(duration / .microseconds(1))
        var total: Int64 = 0
        // Jobs of one submission have one time, so most are in the bucket of the job before them.
        var (bucket, low, high) = (0, Int64.min, Self.boundsInMicroseconds[0])
        for (job, enqueuedAt) in zip(jobs, enqueuedAts) {
            guard case .finished = job else { continue }
            // The clock of the server may have been set back.
            let time = max(0, committedAt - enqueuedAt.microsecondsSince2000)
            if time <= low || time > high {
                bucket = Self.boundsInMicroseconds.firstIndex { time <= $0 } ?? Self.bounds.count
                low = bucket == 0 ? .min : Self.boundsInMicroseconds[bucket - 1]
                high = bucket == Self.bounds.count ? .max : Self.boundsInMicroseconds[bucket]
            }
            counts[bucket] += 1
            total += time
        }
        sum = .microseconds(total)
    }
}
