import StockQueueLocking

/// An answer that a task waits for and a thread gives. The first answer counts: the value, an error, or the
/// cancellation.
final class PendingAnswer<Value: Sendable>: Sendable {
    typealias Answer = Result<Value, QueueError>

    private enum State {
        case open
        case awaited(CheckedContinuation<Answer, Never>)
        case answered(Answer)
    }

    private let state = Mutex(State.open)

    /// Gives the answer, if there is none yet.
    func answer(_ answer: Answer) {
        let continuation: CheckedContinuation<Answer, Never>? = state.withLock { state in
            switch state {
            case .open:
                state = .answered(answer)
                return nil
            case .awaited(let continuation):
                state = .answered(answer)
                return continuation
            case .answered:
                return nil
            }
        }
        continuation?.resume(returning: answer)
    }

    var isAnswered: Bool {
        state.withLock { state in
            if case .answered = state { true } else { false }
        }
    }

    /// Waits for the answer. To be called once.
    ///
    /// - Parameter onCancel: called when the task is canceled, after the answer `canceled` was given.
    func wait(onCancel: @escaping @Sendable () -> Void) async -> Answer {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let early: Answer? = state.withLock { state in
                    if case .answered(let answer) = state { return answer }
                    state = .awaited(continuation)
                    return nil
                }
                if let early { continuation.resume(returning: early) }
            }
        } onCancel: {
            answer(.failure(.canceled))
            onCancel()
        }
    }
}
