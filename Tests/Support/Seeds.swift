import Foundation

/// The seeds of tests with random data. A failure prints its seed.
public enum Seeds {
    /// Seeds that follow a random one; only that of `STOCKQ_SEED` if it is set, and all of `fullCount` in `make soak`.
    public static func random(_ count: Int, fullCount: Int) -> [UInt64] {
        let environment = ProcessInfo.processInfo.environment
        if let text = environment["STOCKQ_SEED"], let seed = UInt64(text) { return [seed] }
        let first = UInt64.random(in: 0...UInt64.max)
        return (0..<UInt64(environment["STOCKQ_FAULTS"] == "all" ? fullCount : count)).map { first &+ $0 }
    }
}
