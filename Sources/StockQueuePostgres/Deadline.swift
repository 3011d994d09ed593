import Foundation

/// A point on the monotonic clock. Waiting never uses the wall clock, so a clock that jumps cannot shorten or
/// lengthen a wait.
package struct Deadline: Sendable, Hashable, Comparable {
    private let nanoseconds: UInt64

    private init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    /// - Parameter milliseconds: at most 34 years; more is as good as never.
    package static func after(milliseconds: Int) -> Deadline {
        Deadline(nanoseconds: now + UInt64(min(max(0, milliseconds), 1 << 40)) * 1_000_000)
    }

    /// Milliseconds until the deadline, rounded up; 0 when it has passed. At most 24 days, as `poll(2)` takes an Int32.
    package var remainingMs: Int {
        let now = Self.now
        return nanoseconds <= now ? 0 : min(Int((nanoseconds - now + 999_999) / 1_000_000), Int(Int32.max))
    }

    package var hasPassed: Bool { nanoseconds <= Self.now }

    package static func < (left: Deadline, right: Deadline) -> Bool { left.nanoseconds < right.nanoseconds }

    private static var now: UInt64 { DispatchTime.now().uptimeNanoseconds }
}
