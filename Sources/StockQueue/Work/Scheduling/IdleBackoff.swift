import StockQueuePostgres

/// How long the poller pauses when it finds nothing, and whether producers have to send wake-ups.
struct IdleBackoff {
    /// After the last work found, poll again after these pauses, then at the longest interval: a producer that read
    /// "awake" just before the flag was cleared has sent no wake-up.
    private static let pausesMs = [2, 5, 10, 50, 250]
    /// Polls without work after which producers are asked to send wake-ups.
    private static let pollsBeforeSleep = 2
    /// "Awake" is repeated this often, because another process that goes idle clears the flag for all.
    private static let repeatAwakeMs = 1_000

    private let awakeAfterMs: Int
    private var idlePolls = 0
    private var awakeAt: Deadline?
    private var wanted: Bool?
    private var announced: Bool?
    private var announceAgainAt: Deadline?

    /// - Parameter awakeAfterMs: steady work for this long before producers may leave out wake-ups.
    init(awakeAfterMs: Int) { self.awakeAfterMs = awakeAfterMs }

    /// The last poll found nothing.
    var isIdle: Bool { idlePolls > 0 }

    /// There is work, or there was a moment ago.
    var isRecent: Bool { idlePolls <= Self.pausesMs.count }

    mutating func foundWork() {
        idlePolls = 0
        let awakeAt = self.awakeAt ?? .after(milliseconds: awakeAfterMs)
        self.awakeAt = awakeAt
        // A single job now and then is no reason to change the flag twice; steady work is.
        if awakeAt.hasPassed { wanted = true }
    }

    mutating func foundNothing() {
        idlePolls += 1
        awakeAt = nil
        if idlePolls > Self.pollsBeforeSleep { wanted = false }
    }

    func pauseMs(longest: Int) -> Int {
        idlePolls <= Self.pausesMs.count ? min(Self.pausesMs[idlePolls - 1], longest) : longest
    }

    /// Whether the workers are awake, where producers have to learn it now.
    mutating func changeForProducers() -> Bool? {
        let isDue = wanted == true && announceAgainAt?.hasPassed != false
        if wanted == announced && !isDue { return nil }
        announced = wanted
        announceAgainAt = .after(milliseconds: Self.repeatAwakeMs)
        return announced
    }
}
