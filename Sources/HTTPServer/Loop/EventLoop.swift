import CLinux
import Glibc

/// Serves connections on one thread: waits with epoll, reads, hands requests over, and sends answers.
///
/// One turn handles all events and all answers that are there, then sends once for each connection, then waits again. Its
/// state belongs to its thread; other threads reach it through its mailbox only.
final class EventLoop {
    let settings: ServerSettings
    let handler: any RequestHandler
    let mailbox: Mailbox
    let counters: LoopCounters
    let epoll: EpollSet
    var listeners: [Listener]
    var connections: [Connection?] = []
    var freeSlots: [Int] = []
    /// By slot, so that a search for expired ones reads one array; `Int.max` for a free slot.
    var deadlines: [Int] = []
    var nextDeadline = Int.max
    var generation: UInt32 = 0
    /// Connections that changed in this turn.
    var listed: [Connection] = []
    var scratch = [UInt8](repeating: 0, count: 64 << 10)
    var clock = LoopClock()
    var counts = ServerStatistics()
    var requestsUnderWay = 0
    var bodyBytes = 0
    var hasHandedOver = false
    var isAccepting = false
    var acceptsAgainAt = Int.max
    var drain: Drain?

    struct Drain {
        /// Idle connections are closed from then on.
        var idleUntil: Int
        /// The rest is closed then.
        var until: Int
    }

    static let mailboxTag = UInt64.max
    static let listenerTag = UInt64.max - 1 << 32

    init(
        settings: ServerSettings, handler: any RequestHandler, mailbox: Mailbox, counters: LoopCounters,
        listeners: [Listener], epoll: EpollSet
    ) {
        self.settings = settings
        self.handler = handler
        self.mailbox = mailbox
        self.counters = counters
        self.listeners = listeners
        self.epoll = epoll
    }

    /// Returns after a shutdown, when all connections are closed.
    func run() {
        epoll.add(mailbox.descriptor, stockq_epollin, tag: Self.mailboxTag)
        startAccepting()
        while true {
            let events = epoll.wait(milliseconds: mailbox.fallAsleep() && listed.isEmpty ? sleepMs : 0)
            clock.refresh()
            for index in 0..<events { handle(epoll.tag(index), epoll.flags(index)) }
            for message in mailbox.takeAll() { handle(message) }
            if clock.now >= nextDeadline { handleDeadlines() }
            // Before the answers are sent: the application can go on meanwhile.
            endBurst()
            attendToListed()
            endBurst()
            counters.set(counts)
            if drain != nil, freeSlots.count == connections.count { break }
        }
        // All connections are closed: these are answers without a reader.
        for message in mailbox.seal() { handle(message) }
        epoll.close()
    }

    private func endBurst() {
        guard hasHandedOver else { return }
        hasHandedOver = false
        handler.burstEnded()
    }

    private var sleepMs: Int32 {
        nextDeadline == Int.max ? -1 : Int32(clamping: max(0, nextDeadline - clock.now + 1))
    }

    private func handle(_ tag: UInt64, _ flags: UInt32) {
        if tag == Self.mailboxTag { return mailbox.reset() }
        if tag >= Self.listenerTag { return accept(from: listeners[Int(tag - Self.listenerTag)]) }
        // It may have been closed earlier in this turn.
        guard let connection = connection(ConnectionID(bits: tag)) else { return }
        let isBroken = flags & (stockq_epollhup | stockq_epollerr) != 0
        if flags & stockq_epollin != 0, !connection.machine.wantsBytes { connection.hasEarlyInput = true }
        if flags & stockq_epollin != 0, connection.machine.wantsBytes {
            // A client of a Unix socket may have sent a request and be gone: the request counts.
            while read(connection), isBroken, connection.machine.wantsBytes {}
        } else if flags & stockq_epollrdhup != 0, !isBroken {
            notePeerFinished(connection)
        }
        if isBroken {
            close(connection)
        } else {
            list(connection)
        }
    }

    func connection(_ id: ConnectionID) -> Connection? {
        let slot = Int(id.slot)
        guard slot < connections.count, let connection = connections[slot], connection.id == id else { return nil }
        return connection
    }

    /// The connection is attended to at the end of the turn.
    func list(_ connection: Connection) {
        guard !connection.isListed else { return }
        connection.isListed = true
        listed.append(connection)
    }

    // MARK: input

    /// - Returns: whether more may be there.
    private func read(_ connection: Connection) -> Bool {
        // Into the buffer of the loop: a connection keeps the bytes that it has, and no room for more. A thousand slow
        // heads are a thousand of them.
        let received = connection.receive(into: &scratch)
        if case .bytes(let count) = received {
            if connection.input.isEmpty {
                var position = 0
                advance(connection, scratch, count, &position)
                if position < count { connection.input = Array(scratch[position..<count]) }
            } else {
                connection.input.append(contentsOf: scratch[..<count])
                advance(connection)
            }
            return true
        }
        switch received {
        case .bytes, .nothing: break
        case .end:
            connection.machine.endInput()
            notePeerFinished(connection)
            advance(connection)
        case .failed: close(connection)
        }
        return false
    }

    private func notePeerFinished(_ connection: Connection) {
        guard !connection.peerHasFinished else { return }
        connection.peerHasFinished = true
        for exchange in connection.exchanges { exchange.depart(.finishedSending) }
    }

    /// Processes the bytes that the connection kept.
    func advance(_ connection: Connection) {
        var position = 0
        let input = connection.input
        advance(connection, input, input.count, &position)
        guard position > 0 else { return }
        connection.input = position == input.count ? [] : Array(input[position...])
    }

    private func advance(_ connection: Connection, _ bytes: [UInt8], _ end: Int, _ position: inout Int) {
        let before = connection.machine.bodyBytes
        steps: while true {
            switch connection.machine.next(bytes, end: end, &position) {
            case .wait: break steps
            case .head(let head): connection.machine.admit(admission(connection, head), clock.moment)
            case .request(let request, let sequence): handOver(connection, request, sequence)
            case .fault(let fault, let context, let sequence):
                answer(connection, fault, context, sequence)
            }
        }
        bodyBytes += connection.machine.bodyBytes - before
        if bodyBytes > settings.bodyBytesMax, connection.machine.bodyBytes > 0 {
            fail(connection, .bodiesTooLarge)
        }
    }

    /// Ends what the connection is reading with a fault.
    func fail(_ connection: Connection, _ fault: RequestFault) {
        let before = connection.machine.bodyBytes
        finish(connection, connection.machine.fail(fault, connection.input, 0))
        bodyBytes += connection.machine.bodyBytes - before
    }

    func finish(_ connection: Connection, _ step: ConnectionMachine.Step?) {
        if case .fault(let fault, let context, let sequence) = step { answer(connection, fault, context, sequence) }
        connection.input = []
        list(connection)
    }

    private func answer(
        _ connection: Connection, _ fault: RequestFault, _ context: FaultContext, _ sequence: UInt64
    ) {
        counts.faults += 1
        connection.machine.answer(sequence, handler.response(to: fault, context), clock.moment)
    }

    private func admission(_ connection: Connection, _ head: RequestHead) -> Admission {
        let fault: RequestFault
        if connection.isBeyondMax {
            fault = .tooManyConnections
        } else if requestsUnderWay >= settings.requestsMax {
            fault = .tooManyRequests
        } else {
            return handler.admit(head)
        }
        counts.faults += 1
        let context = FaultContext(target: head.target, head: head, peer: head.peer)
        return .answer(handler.response(to: fault, context), closes: connection.isBeyondMax)
    }

    private func handOver(_ connection: Connection, _ request: Request, _ sequence: UInt64) {
        let exchange = Exchange(
            connection.id, sequence, request.head, mailbox, streamBytesMax: settings.streamBytesMax)
        connection.exchanges.append(exchange)
        requestsUnderWay += 1
        counts.requests += 1
        hasHandedOver = true
        if drain != nil { exchange.depart(.shuttingDown) }
        if connection.peerHasFinished { exchange.depart(.finishedSending) }
        handler.handle(request, Responder(exchange))
    }
}
