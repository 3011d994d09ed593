/// What a connection waits for, and since when.
package struct ConnectionTimer {
    enum Waiting: Equatable {
        /// The first byte of a request.
        case idle
        /// The rest of a head; the number of the request, so that the next one has its own time.
        case head(UInt64)
        case body(UInt64)
        /// The application.
        case answer
        /// The client reads its answer; all bytes sent so far.
        case reader(Int)
        /// The client closes its side.
        case lingering
    }

    private(set) var waiting = Waiting.idle
    private var since = 0

    /// Notes what the connection waits for now. The time counts from when it began to wait for that.
    mutating func update(_ waiting: Waiting, now: Int) {
        if waiting != self.waiting || since == 0 { (self.waiting, since) = (waiting, now) }
    }

    /// When the waiting ends, on the monotonic clock in milliseconds; `Int.max` for never.
    func deadline(_ settings: ServerSettings) -> Int {
        switch waiting {
        case .idle: since + settings.idleMs + settings.idleExtraMs
        case .head: since + settings.headMs
        case .body: since + settings.bodyMs
        case .answer: Int.max
        case .reader: since + settings.writeMs
        case .lingering: since + settings.lingerMs
        }
    }
}

extension ConnectionMachine {
    /// Call after every change.
    ///
    /// - Parameter sentBytes: all bytes that the connection has sent.
    package mutating func updateTimer(now: Int, sentBytes: Int) { timer.update(waiting(sentBytes), now: now) }

    /// When `timeOut` must be called, in milliseconds on the monotonic clock.
    package var deadline: Int { timer.deadline(settings) }

    private func waiting(_ sentBytes: Int) -> ConnectionTimer.Waiting {
        if !output.isEmpty { return .reader(sentBytes) }
        if closing != nil { return .lingering }
        switch reading {
        case .body: return .body(lastSequence)
        case .head where parser.isInRequest && entries.isEmpty: return .head(lastSequence)
        case .head where entries.isEmpty: return .idle
        default: return .answer
        }
    }

    /// - Returns: a fault to answer; nil if the connection just closes.
    package mutating func timeOut(_ bytes: [UInt8]) -> Step? {
        switch timer.waiting {
        case .head: return fail(.headTimeout, bytes, 0)
        case .body: return fail(.bodyTimeout, bytes, 0)
        case .idle: closeIdle()
        case .reader, .lingering: (closing, reading) = (.abort, .finished)
        case .answer: break
        }
        return nil
    }
}
