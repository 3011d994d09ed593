/// Pauses that double from the first to the longest, each with jitter so that many clients do not connect at the same
/// time.
package struct Backoff: Sendable {
    private let firstMs: Int
    private let longestMs: Int
    private var nextMs: Int

    package init(firstMs: Int, longestMs: Int) {
        self.firstMs = firstMs
        self.longestMs = longestMs
        nextMs = firstMs
    }

    /// The next pause in ms: between half and the whole of the present step.
    package mutating func next() -> Int {
        let pause = Int.random(in: max(1, nextMs / 2)...max(1, nextMs))
        nextMs = min(nextMs * 2, longestMs)
        return pause
    }

    package mutating func reset() { nextMs = firstMs }
}
