import StockQueueLocking

/// How often the batches of this process have committed each statement that writes. A statement that fails for one work
/// unit and succeeds for others shows that the error belongs to the work unit.
final class StatementSuccesses: Sendable {
    private let counts = Mutex<[String: Int]>([:])

    func add(_ statements: [String]) {
        counts.withLock { counts in
            for statement in statements { counts[statement, default: 0] += 1 }
        }
    }

    func count(of statement: String?) -> Int { statement.flatMap { name in counts.withLock { $0[name] } } ?? 0 }
}
