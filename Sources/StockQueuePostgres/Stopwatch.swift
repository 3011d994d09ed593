import Dispatch

/// The time since it was made, on the monotonic clock.
package struct Stopwatch: Sendable {
    private let start = DispatchTime.now().uptimeNanoseconds

    package init() {}

    package var milliseconds: Int { microseconds / 1_000 }

    package var microseconds: Int { Int((DispatchTime.now().uptimeNanoseconds - start) / 1_000) }
}
