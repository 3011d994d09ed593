import Dispatch
import StockQueueLocking

/// Wakes one thread. Several calls before it waits again are one.
final class WakeUp: Sendable {
    private let semaphore = DispatchSemaphore(value: 0)
    private let isSet = Mutex(false)

    func signal() {
        let isFirst = isSet.withLock { isSet in
            defer { isSet = true }
            return !isSet
        }
        if isFirst { semaphore.signal() }
    }

    /// Waits for a signal, at most this long. What was changed before the signal is visible afterwards.
    ///
    /// - Returns: whether there was a signal.
    @discardableResult
    func wait(milliseconds: Int) -> Bool {
        let end = semaphore.wait(timeout: .now() + .milliseconds(milliseconds))
        isSet.withLock { $0 = false }
        return end == .success
    }
}
