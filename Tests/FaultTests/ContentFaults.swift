import Foundation
import StockQueue
import StockQueueLocking
import StockQueuePostgres
import TestSupport
import Testing

extension Faults {
    /// Errors of every class at every statement, locked and changed items, canceled jobs, jobs that cannot be written.
    @Suite("Content: errors of the database, and its other users", .serialized) struct Content {
        /// Errors that no job causes: the batch is tried again, and no attempt is counted.
        static let transient = ["40001", "40P01", "55P03", "57014", "57P01", "08006", "53300"]
        /// Errors that a job's data can cause: the batch is halved.
        static let ofData = ["22003", "22P02", "23505", "23514"]

        @Test("every class of error at every statement of a batch counts no attempt against a job")
        func everyErrorAtEveryStatement() async throws {
            try await withDatabase { database in
                let rig = try Rig(database, seed: 89, stores: 2)
                let workers = rig.startWorkers()
                let codes = Self.transient + Self.ofData
                var injected: Set<String> = []
                for (number, statement) in Self.statements.enumerated() {
                    // A selection has three classes at each statement, and others at the next statement.
                    for (index, code) in codes.enumerated() where Faults.isFull || (index + number) % 4 == 0 {
                        let injection = Injection(rig.proxy, statement, code)
                        for _ in 0..<60 where !injection.isDone {
                            try Self.provoke(statement, rig)
                            #expect(try rig.jobsFinish(), "\(code) at \(statement)")
                        }
                        if injection.isDone { injected.insert("\(statement) \(code)") }
                        rig.proxy.passAll()
                    }
                }
                try workers.stop()
                let reached = Set(injected.map { $0.split(separator: " ")[0] })
                Faults.report(
                    """
                    \(injected.count) errors injected at \(reached.count) statements: \
                    \(reached.sorted().joined(separator: ", "))
                    """
                )
                #expect(reached.count == Self.statements.count)
                // No job failed because of an error that it did not cause.
                #expect(try database.value("SELECT count(*) FROM stockq.results WHERE outcome = 'failed'") == "0")
                try rig.expectSound(order: .ofItems)
            }
        }

        private static let statements = [
            "begin", "lock_lane", "claim", "claim_unlocked", "count_up_to", "count_groups", "claim_groups",
            "read_groups",
            "lock_items", "lock_cached_items", "lock_unlocked_items", "read_items", "read_up_to", "write_items",
            "write_results", "delete_finished", "write_notifications", "defer_waiting", "promote_waiting", "commit",
        ]

        /// Makes the workers need a statement.
        private static func provoke(_ statement: String, _ rig: Rig) throws {
            let other = try rig.database.connect()
            switch statement {
            case "claim_groups", "read_groups":
                // A deferred line is not claimed with the others, so the claim splits the group.
                try other.executeScript(
                    """
                    INSERT INTO stockq.jobs (store_id, item_id, quantity, group_id, run_at)
                    SELECT 'store-0', 'item-1', 1, 'split-' || txid_current(),
                        CASE n WHEN 2 THEN now() + interval '1 hour' END
                    FROM generate_series(1, 2) AS n
                    """)
            case "lock_unlocked_items", "read_items", "claim_unlocked", "count_up_to", "read_up_to":
                let locksJob = !statement.hasSuffix("_items")
                try other.executeScript(
                    locksJob
                        ? "BEGIN; SELECT FROM stockq.jobs WHERE false"
                        : "BEGIN; SELECT FROM stockq.items WHERE item_id = 'item-1' FOR UPDATE")
                try rig.enqueueRound(6)
                try rig.database.run(
                    "INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('store-0', 'item-1', 1)")
                if locksJob {
                    // This session locks a job before the others of its lane.
                    try other.executeScript(
                        "SELECT FROM stockq.jobs WHERE run_at IS NULL ORDER BY job_id LIMIT 1 FOR UPDATE SKIP LOCKED")
                    try rig.enqueueRound(6)
                }
                // A batch gives up waiting before the lock is released.
                pause(milliseconds: 300)
                try other.executeScript("ROLLBACK")
            default: try rig.enqueueRound(6)
            }
        }

        /// Makes one statement of a worker fail, once.
        private final class Injection: Sendable {
            private let done = Mutex(false)

            init(_ proxy: Proxy, _ statement: String, _ code: String) {
                proxy.setRule { [self] message in
                    guard message.isOfWorker, message.isOf("B"), message.statement == statement else { return .pass }
                    return done.withLock { done in
                        if done { return .pass }
                        done = true
                        return .fail(sqlState: code)
                    }
                }
            }

            var isDone: Bool { done.withLock { $0 } }
        }
    }
}
