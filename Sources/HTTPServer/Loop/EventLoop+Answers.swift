import CLinux
import Glibc

// Answers that arrive in the mailbox, and the end of a turn.
extension EventLoop {
    func handle(_ message: Mailbox.Message) {
        switch message {
        case .shutDown(let graceMs): beginDrain(graceMs: graceMs)
        case .answer(let exchange, let answer):
            guard let connection = connection(exchange.connection) else {
                if case .stream(_, let buffer) = answer { buffer.disconnect() }
                return
            }
            apply(answer, exchange, connection)
            advance(connection)
            list(connection)
        }
    }

    private func apply(_ answer: Exchange.Answer, _ exchange: Exchange, _ connection: Connection) {
        let sequence = exchange.sequence
        switch answer {
        case .complete(let response):
            end(exchange, connection)
            connection.machine.answer(sequence, response, clock.moment)
        case .dropped:
            end(exchange, connection)
            let fault = RequestFault(.internalServerError, "The request was not answered.")
            let context = FaultContext(target: exchange.head.target, head: exchange.head, peer: exchange.head.peer)
            connection.machine.answer(sequence, handler.response(to: fault, context), clock.moment)
        case .stream(let response, let buffer):
            connection.machine.stream(sequence, response, clock.moment)
            if exchange.head.method.isHead || response.status.hasNoBody {
                buffer.disconnect()
                end(exchange, connection)
            } else {
                connection.streams[sequence] = buffer
            }
        case .streamReady: break
        }
    }

    private func end(_ exchange: Exchange, _ connection: Connection) {
        guard connection.takeExchange(exchange.sequence) != nil else { return }
        requestsUnderWay -= 1
        exchange.end()
    }

    func attendToListed() {
        // Those that are listed meanwhile are attended to in the next turn.
        let connections = listed
        listed.removeAll(keepingCapacity: true)
        for connection in connections {
            connection.isListed = false
            if self.connection(connection.id) != nil { attend(connection) }
        }
    }

    /// Sends, and prepares for what comes next.
    private func attend(_ connection: Connection) {
        pumpStream(connection)
        guard connection.send() else { return close(connection) }
        if connection.machine.output.isEmpty {
            // The client has read its answers: its next requests, and the rest of a stream, may come.
            advance(connection)
            if !connection.machine.output.isEmpty || hasStreamBytes(connection) { list(connection) }
        }
        if let drain, clock.now >= drain.idleUntil, connection.machine.isIdle { connection.machine.closeIdle() }
        if let closing = connection.machine.closing {
            if closing == .abort { return abort(connection) }
            if connection.machine.output.isEmpty {
                if closing == .atOnce || connection.machine.inputHasEnded { return close(connection) }
                if !connection.hasShutDown {
                    shutdown(connection.descriptor, Int32(SHUT_WR))
                    connection.hasShutDown = true
                }
            }
        }
        updateInterest(connection)
        connection.machine.updateTimer(now: clock.now, sentBytes: connection.sentBytes)
        setDeadline(connection.machine.deadline, slot: Int(connection.id.slot))
    }

    private func pumpStream(_ connection: Connection) {
        while let sequence = connection.machine.openStream, let buffer = connection.streams[sequence] {
            let content = buffer.take()
            connection.machine.write(content.bytes)
            guard let isComplete = content.isComplete else { return }
            connection.machine.endStream(isComplete: isComplete, clock.moment)
            connection.streams[sequence] = nil
            if let exchange = connection.exchanges.first(where: { $0.sequence == sequence }) {
                end(exchange, connection)
            }
            advance(connection)
        }
    }

    private func hasStreamBytes(_ connection: Connection) -> Bool {
        guard let sequence = connection.machine.openStream else { return false }
        return connection.streams[sequence]?.hasNews ?? false
    }

    private func updateInterest(_ connection: Connection) {
        let wanted = connection.wantedInterest
        guard wanted != connection.interest else { return }
        epoll.change(connection.descriptor, wanted, tag: connection.id.bits)
        connection.interest = wanted
    }

    func setDeadline(_ deadline: Int, slot: Int) {
        deadlines[slot] = deadline
        nextDeadline = min(nextDeadline, deadline)
    }

    // MARK: time

    func handleDeadlines() {
        let now = clock.now
        if now >= acceptsAgainAt { startAccepting() }
        for slot in deadlines.indices where deadlines[slot] <= now {
            guard let connection = connections[slot] else { continue }
            counts.timeouts += 1
            deadlines[slot] = Int.max
            let before = connection.machine.bodyBytes
            finish(connection, connection.machine.timeOut(connection.input))
            bodyBytes += connection.machine.bodyBytes - before
        }
        if let drain { continueDrain(drain) }
        nextDeadline = min(deadlines.min() ?? Int.max, acceptsAgainAt)
        if let drain { nextDeadline = min(nextDeadline, now < drain.idleUntil ? drain.idleUntil : drain.until) }
    }

    // MARK: the end

    private func beginDrain(graceMs: Int) {
        guard drain == nil else { return }
        // Connections that the system has accepted are answered.
        for listener in listeners { accept(from: listener, max: .max) }
        stopAccepting()
        acceptsAgainAt = Int.max
        for listener in listeners { listener.release() }
        listeners = []
        let until = clock.now + max(0, graceMs)
        drain = Drain(idleUntil: min(until, clock.now + settings.shutdownIdleMs), until: until)
        nextDeadline = min(nextDeadline, drain!.idleUntil)
        for case let connection? in connections {
            connection.machine.drain()
            for exchange in connection.exchanges { exchange.depart(.shuttingDown) }
            list(connection)
        }
    }

    private func continueDrain(_ drain: Drain) {
        guard clock.now >= drain.idleUntil else { return }
        let isOver = clock.now >= drain.until
        for case let connection? in connections {
            if connection.machine.isIdle { connection.machine.closeIdle() }
            if isOver {
                let isCut = !connection.machine.output.isEmpty || !connection.exchanges.isEmpty
                isCut ? abort(connection) : close(connection)
            } else {
                list(connection)
            }
        }
    }

    private func abort(_ connection: Connection) {
        connection.resetOnClose()
        close(connection)
    }

    func close(_ connection: Connection) {
        let slot = Int(connection.id.slot)
        guard connections[slot] === connection else { return }
        connections[slot] = nil
        deadlines[slot] = Int.max
        freeSlots.append(slot)
        counts.connections -= 1
        requestsUnderWay -= connection.exchanges.count
        bodyBytes -= connection.machine.bodyBytes
        // Closing the socket removes it from epoll.
        Glibc.close(connection.descriptor)
        for buffer in connection.streams.values { buffer.disconnect() }
        for exchange in connection.exchanges {
            exchange.depart(.disconnected)
            exchange.end()
        }
        connection.exchanges = []
        if !isAccepting, drain == nil, acceptsAgainAt == Int.max { startAccepting() }
    }
}
