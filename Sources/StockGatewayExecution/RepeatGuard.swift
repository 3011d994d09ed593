import StockGateway
import StockQueueLocking
import StockQueuePostgres

/// Recognizes calls that clients send again when a connection is cut. Such a call gets the first answer, also while the
/// first call is under way.
///
/// It is the memory of one process, and of minutes: an idempotency key is the guard that holds everywhere.
final class RepeatGuard: Sendable {
    /// A repeated call that waits for the answer of the first.
    struct Follower: Sendable {
        let answer: @Sendable (StockAnswer) -> Void
        /// Executes the call as if it were the first.
        let executeAgain: @Sendable () -> Void
    }

    enum Admission {
        /// It is the first: execute it, and call `finish`.
        case first
        /// It follows the first and gets its answer.
        case taken
        case answered(StockAnswer)
    }

    private enum Entry {
        case underWay([Follower])
        case answered(StockAnswer)
    }

    private struct State {
        var entries: [String: Entry] = [:]
        /// The entries with an answer, in the order of their ends.
        var ends: [(key: String, at: Deadline)] = []
        var firstEnd = 0
    }

    private let state = Mutex(State())
    private let keepMs: Int
    private let entriesMax: Int

    init(seconds: Int, entriesMax: Int) {
        keepMs = seconds * 1_000
        self.entriesMax = entriesMax
    }

    func admit(_ key: String, _ follower: Follower) -> Admission {
        state.withLock { state in
            Self.forget(&state, entriesMax)
            switch state.entries[key] {
            case .answered(let answer): return .answered(answer)
            case .underWay(let followers):
                state.entries[key] = .underWay(followers + [follower])
                return .taken
            case nil:
                state.entries[key] = .underWay([])
                return .first
            }
        }
    }

    /// The first call has its answer. If nothing was applied, a later call is a first one again; and if that was only
    /// because the first client had gone away, the followers are executed.
    func finish(_ key: String, _ answer: StockAnswer, isDeparted: Bool) {
        let isKept = if case .success = answer { true } else { false }
        let followers: [Follower] = state.withLock { state in
            guard case .underWay(let followers) = state.entries[key] else { return [] }
            state.entries[key] = isKept ? .answered(answer) : nil
            if isKept { state.ends.append((key, .after(milliseconds: keepMs))) }
            return followers
        }
        for follower in followers {
            if isDeparted, !isKept { follower.executeAgain() } else { follower.answer(answer) }
        }
    }

    private static func forget(_ state: inout State, _ entriesMax: Int) {
        while state.firstEnd < state.ends.count,
            state.ends[state.firstEnd].at.hasPassed || state.ends.count - state.firstEnd > entriesMax
        {
            state.entries[state.ends[state.firstEnd].key] = nil
            state.firstEnd += 1
        }
        if state.firstEnd > 1_000, state.firstEnd * 2 > state.ends.count {
            state.ends.removeFirst(state.firstEnd)
            state.firstEnd = 0
        }
    }
}
