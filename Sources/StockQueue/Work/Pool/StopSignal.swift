import StockQueueLocking

/// Stops the threads of a process in two steps: `finish` lets the current batches end, `abort` rolls them back.
///
/// Each step makes a pipe readable for good, so that a thread can wait for it in `poll(2)` beside its socket.
public final class StopSignal: Sendable {
    private let finishPipe = WakePipe()
    private let abortPipe = WakePipe()
    private let level = Mutex(0)

    public init() {}

    /// Claim nothing more.
    public func finish() {
        level.withLock { $0 = max($0, 1) }
        finishPipe.wake()
    }

    /// Cancel what is running and roll back.
    public func abort() {
        level.withLock { $0 = 2 }
        finishPipe.wake()
        abortPipe.wake()
    }

    public var isFinishing: Bool { level.withLock { $0 > 0 } }

    /// Readable once `abort` has been called.
    package var abortDescriptor: Int32 { abortPipe.descriptor }

    /// Waits for `finish` or until the time is over.
    ///
    /// - Returns: true after `finish` or `abort`.
    public func wait(milliseconds: Int) -> Bool {
        finishPipe.wait(milliseconds: milliseconds)
        return isFinishing
    }
}
