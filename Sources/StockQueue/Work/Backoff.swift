/// Pauses that double from the first to the longest, each with jitter so that many clients do not come back at once.
public struct Backoff: Sendable {
    private let firstMs: Int
    private let longestMs: Int
    private var nextMs: Int

    public init(firstMs: Int, longestMs: Int) {
        self.firstMs = firstMs
        self.longestMs = longestMs
        nextMs = firstMs
    }

    /// The next pause: between half and the whole of the present step.
    public mutating func next() -> Int {
        let pause = Int.random(in: max(1, nextMs / 2)...max(1, nextMs))
        nextMs = min(nextMs * 2, longestMs)
        return pause
    }

    public mutating func reset() { nextMs = firstMs }
}
