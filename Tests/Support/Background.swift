import Foundation
import StockQueue
import StockQueueLocking
import StockQueuePostgres

/// How many test bodies run at once. With all of them at once, two cores would be too busy to meet any promise that is
/// given in seconds.
private enum Place {
    static let free = DispatchSemaphore(value: 6)
    /// The task's test has a place until it ends.
    @TaskLocal static var isTaken = false
}

/// Runs a blocking test body on a thread of its own, so that it does not block a thread of Swift's small pool. The body
/// is part of the test's task, so a failed expectation is the test's.
public func onThread<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withTaskExecutorPreference(ThreadPerJob(takesPlace: !Place.isTaken)) { try body() }
}

/// Runs an asynchronous test body. Its blocking parts go to `onThread` and do not wait for a place: what the test has
/// begun meanwhile has deadlines of its own.
public func inPlace<Value>(_ body: () async throws -> Value) async throws -> Value {
    await withCheckedContinuation { isFree in
        Thread {
            Place.free.wait()
            isFree.resume()
        }.start()
    }
    defer { Place.free.signal() }
    return try await Place.$isTaken.withValue(true) { try await body() }
}

/// Runs each part of a task on a new thread with the stack of a main thread.
private final class ThreadPerJob: TaskExecutor {
    private let takesPlace: Bool

    init(takesPlace: Bool) { self.takesPlace = takesPlace }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let thread = Thread { [self] in
            if takesPlace { Place.free.wait() }
            defer { if takesPlace { Place.free.signal() } }
            job.runSynchronously(on: asUnownedTaskExecutor())
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
    var pauseMs = 5
    while true {
        if try holds() { return true }
        if deadline.hasPassed { return false }
        pause(milliseconds: pauseMs)
        pauseMs = min(pauseMs + 5, 50)
    }
}

/// Runs a body, and runs it again when the server is starting, is not reached or ends the session, as any client would.
///
/// The body must be safe to run again: it reads, or what it writes is the same the second time. The answer to its COMMIT
/// may be lost.
public func waitingForServer<Value>(seconds: Double = 60, _ body: () throws -> Value) throws -> Value {
    let deadline = Deadline.after(milliseconds: Int(seconds * 1_000))
    while true {
        do {
            return try body()
        } catch let error as PostgresError where error.isTransient && !deadline.hasPassed {
            pause(milliseconds: 20)
        }
    }
}

/// A blocking part of a test on a thread of its own. An expectation belongs into the test's own body: here it would not
/// know its test.
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
