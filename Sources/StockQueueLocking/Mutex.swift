#if THREAD_SANITIZER
    import Foundation

    /// Replaces `Synchronization.Mutex` in a build for ThreadSanitizer (`make tsan`).
    ///
    /// The library's own mutex waits in a part of the runtime that the sanitizer does not see into, so that every value
    /// it guards would be reported as a race. The sanitizer knows the mutexes of pthread.
    package struct Mutex<Value: ~Copyable>: ~Copyable, @unchecked Sendable {
        // Sendable: the value is reached only while the lock is held.
        private let value: UnsafeMutablePointer<Value>
        private let lock: UnsafeMutablePointer<pthread_mutex_t>

        package init(_ initial: consuming sending Value) {
            value = .allocate(capacity: 1)
            value.initialize(to: initial)
            lock = .allocate(capacity: 1)
            pthread_mutex_init(lock, nil)
        }

        deinit {
            pthread_mutex_destroy(lock)
            lock.deallocate()
            value.deinitialize(count: 1)
            value.deallocate()
        }

        package borrowing func withLock<Result: ~Copyable, Failure: Error>(
            _ body: (inout sending Value) throws(Failure) -> sending Result
        ) throws(Failure) -> sending Result {
            pthread_mutex_lock(lock)
            defer { pthread_mutex_unlock(lock) }
            return try body(&value.pointee)
        }
    }
#else
    // Who imports StockQueueLocking has the library's mutex under the same name.
    @_exported import Synchronization
#endif
