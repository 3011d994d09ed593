import Foundation
import StockQueue
import StockQueueLocking
import StockQueuePostgres

/// How many test bodies run at once. With all of them at once, two cores would be too busy to meet any promise that is
/// given in seconds.
private let atOnce = DispatchSemaphore(value: 6)

/// Runs a blocking test body on a thread of its own, so that it does not block a thread of Swift's small pool.
public func onThread<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        let thread = Thread {
            atOnce.wait()
            defer { atOnce.signal() }
            continuation.resume(with: Result { try body() })
        }
        thread.stackSize = 8 << 20
        thread.start()
    }
}

/// Runs a test body with a database that only this test uses.
public func withDatabase<Value: Sendable>(
    migrated: Bool = true, _ body: @escaping @Sendable (TestDatabase) throws -> Value
) async throws -> Value {
    try await onThread {
        let database = try TestDatabase(migrated: migrated)
        defer { database.drop() }
        return try body(database)
    }
}

/// Polls a condition until it is true or the time is over.
public func eventually(seconds: Double = 20, _ holds: () throws -> Bool) rethrows -> Bool {
    let deadline = Deadline.after(milliseconds: Int(seconds * 1_000))
    while true {
        if try holds() { return true }
        if deadline.hasPassed { return false }
        pause(milliseconds: 5)
    }
}

/// A blocking part of a test on a thread of its own.
public final class Background: Sendable {
    private let ended = DispatchSemaphore(value: 0)
    private let failure = Mutex<(any Error)?>(nil)

    public init(_ body: @escaping @Sendable () throws -> Void) {
        let thread = Thread { [self] in
            do { try body() } catch { failure.withLock { $0 = error } }
            ended.signal()
        }
        thread.stackSize = 8 << 20
        thread.start()
    }

    /// Waits until the body returns.
    ///
    /// - Throws: the error that the body threw.
    public func wait() throws {
        ended.wait()
        if let error = failure.withLock({ $0 }) { throw error }
    }
}
