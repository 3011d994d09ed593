/// The state of one connection as a value: bytes and answers in, requests and bytes out. It does no input or output, so that
/// every order of events can be tested.
///
/// The owner passes the bytes that it read to `next` until that returns `wait`, answers what `next` hands out, and sends
/// what is in `output`.
package struct ConnectionMachine {
    package enum Step {
        /// Nothing to do before more bytes, an answer, or time.
        case wait
        /// A head is complete: the owner calls `admit`.
        case head(RequestHead)
        /// A request is complete and waits for its answer.
        case request(Request, UInt64)
        /// The client made a fault, which waits for its answer. The connection closes behind it.
        case fault(RequestFault, FaultContext, UInt64)
    }

    enum Reading {
        case head
        /// A complete head. It waits until the requests before it are answered.
        case blocked(RequestHead)
        /// The owner has the head and decides.
        case admitting(RequestHead)
        /// `drops` for the body of a request that was answered by its head.
        case body(RequestHead, drops: Bool)
        /// No further request is read: bytes are dropped.
        case finished
    }

    /// What becomes of the connection once its output is sent.
    package enum Closing: Equatable {
        /// The client sends nothing more.
        case atOnce
        /// The client may be sending: read on for a while.
        case lingering
        /// An answer could not be completed: the client must see that.
        case abort
    }

    struct Entry {
        var sequence: UInt64
        var isHead = false
        var minorVersion = 1
        var keepsAlive: Bool
        var isSafe: Bool
        var state = State.waiting

        enum State {
            case waiting
            case ready(Response)
            case streaming(Response, hasBegun: Bool)
        }
    }

    let settings: ServerSettings
    let peer: PeerAddress
    var parser: RequestParser
    var reading = Reading.head
    var entries: [Entry] = []
    private var body: [UInt8] = []
    /// The number of the last request that was handed out.
    private(set) var lastSequence: UInt64 = 0
    private var continueIsDue = false
    private(set) var inputHasEnded = false
    /// Shutting down: the next answer closes the connection.
    private(set) var isDraining = false
    package var output = OutputBuffer()
    package var closing: Closing?
    var timer = ConnectionTimer()

    package init(settings: ServerSettings, peer: PeerAddress) {
        self.settings = settings
        self.peer = peer
        parser = RequestParser(limits: settings.limits)
    }

    /// Bytes of a body that is not complete.
    package var bodyBytes: Int { body.count }

    /// Whether the owner should read more bytes, apart from noticing that the client went away.
    package var wantsBytes: Bool {
        switch reading {
        case .head: isGateOpen
        case .body: true
        case .blocked, .admitting: false
        case .finished: closing == .lingering || !inputHasEnded
        }
    }

    /// - Parameters:
    ///   - position: the first byte of `bytes` that is not consumed; moved past what was consumed.
    ///   - end: the number of bytes in `bytes` that are valid.
    package mutating func next(_ bytes: [UInt8], end: Int, _ position: inout Int) -> Step {
        while true {
            switch reading {
            case .finished:
                position = end
                closeIfDone()
                return .wait
            case .admitting: return .wait
            case .blocked(let head):
                guard mayStart(head) else { return .wait }
                reading = .admitting(head)
                return .head(head)
            case .head:
                guard isGateOpen else { return .wait }
                if let step = nextOfHead(bytes, end, &position) { return step }
            case .body(let head, let drops):
                if let step = nextOfBody(head, drops, bytes, end, &position) { return step }
            }
        }
    }

    private mutating func nextOfHead(_ bytes: [UInt8], _ end: Int, _ position: inout Int) -> Step? {
        switch parser.next(bytes.span.bytes.extracting(0..<end), &position) {
        case .needsBytes:
            guard inputHasEnded else { return .wait }
            if parser.isInRequest { return fail(.bodyIncomplete, bytes, end, position) }
            reading = .finished
        case .head:
            let head = RequestHead(
                parser.head, bytes: Array(bytes[parser.headStart..<position]), peer: peer, proxies: settings.proxies)
            reading = .blocked(head)
        case .fault(let fault): return fail(fault, bytes, end, position)
        case .body, .end: preconditionFailure("the parser is between two requests")
        }
        return nil
    }

    private mutating func nextOfBody(
        _ head: RequestHead, _ drops: Bool, _ bytes: [UInt8], _ end: Int, _ position: inout Int
    ) -> Step? {
        switch parser.next(bytes.span.bytes.extracting(0..<end), &position) {
        case .needsBytes:
            if inputHasEnded { return fail(.bodyIncomplete, head, drops) }
            if continueIsDue { output.append(Self.continueLine) }
            continueIsDue = false
            return .wait
        case .body(let range):
            continueIsDue = false
            if !drops {
                // Not all at once: a length is a promise only.
                if body.isEmpty { body.reserveCapacity(min(head.contentLength ?? 0, 16_384)) }
                body.append(contentsOf: bytes[range])
            }
            return nil
        case .end:
            reading = head.isLast ? .finished : .head
            if drops { return nil }
            let request = Request(head: head, body: body)
            body = []
            return .request(request, enqueue(head, keepsAlive: !head.isLast))
        case .fault(let fault): return fail(fault, head, drops)
        case .head: preconditionFailure("the parser is in a body")
        }
    }

    private static let continueLine = Array("HTTP/1.1 100 Continue\r\n\r\n".utf8)

    // MARK: order

    /// Whether the next head may be parsed. Requests that change something are handed out one at a time (RFC 9112, 9.3.2).
    private var isGateOpen: Bool {
        if entries.isEmpty { return output.count <= settings.outputBytesMax }
        return entries.count < settings.pipelineMax && output.count <= settings.outputBytesMax
            && entries.allSatisfy { $0.isSafe && $0.keepsAlive }
    }

    private func mayStart(_ head: RequestHead) -> Bool {
        entries.isEmpty || head.method.isSafe && !head.hasBody && entries.allSatisfy(\.isSafe)
    }

    private mutating func enqueue(_ head: RequestHead, keepsAlive: Bool) -> UInt64 {
        lastSequence += 1
        entries.append(
            Entry(
                sequence: lastSequence, isHead: head.method.isHead, minorVersion: head.minorVersion,
                keepsAlive: keepsAlive, isSafe: head.method.isSafe))
        return lastSequence
    }

    // MARK: decisions of the owner

    /// Follows the head that `next` handed out.
    package mutating func admit(_ admission: Admission, _ moment: borrowing Moment) {
        guard case .admitting(let head) = reading else { preconditionFailure("no head waits to be admitted") }
        switch admission {
        case .read(let bodyBytesMax):
            parser.limits.bodyBytesMax = bodyBytesMax ?? settings.limits.bodyBytesMax
            continueIsDue = head.expectsContinue && head.hasBody
            reading = .body(head, drops: false)
        case .answer(let response, let closes):
            // The body that follows is read and dropped, unless it is too long, or may never come.
            let isLong = head.contentLength.map { $0 > settings.limits.bodyBytesMax } ?? false
            let isLast = closes || head.isLast || isLong || head.expectsContinue && head.hasBody
            parser.limits.bodyBytesMax = settings.limits.bodyBytesMax
            reading = isLast ? .finished : .body(head, drops: true)
            answer(enqueue(head, keepsAlive: !isLast), response, moment)
        }
    }

    /// The client sends nothing more. Its requests are answered nevertheless: it may have closed one direction only.
    package mutating func endInput() { inputHasEnded = true }

    /// Stops reading requests: the answers under way are the last ones. A request that is being read is completed.
    package mutating func drain() { isDraining = true }

    /// Closes a connection without a request. Bytes that arrive later are dropped, never processed: the client may send
    /// the request again.
    package mutating func closeIdle() {
        reading = .finished
        closeIfDone()
    }

    /// Whether there is nothing to read, to answer or to send.
    package var isIdle: Bool {
        guard entries.isEmpty, output.isEmpty, case .head = reading else { return false }
        return !parser.isInRequest
    }

    // MARK: faults

    /// Ends the present request with a fault that the owner found.
    package mutating func fail(_ fault: RequestFault, _ bytes: [UInt8], _ position: Int) -> Step? {
        if case .body(let head, let drops) = reading { return fail(fault, head, drops) }
        return fail(fault, bytes, bytes.count, position)
    }

    private mutating func fail(_ fault: RequestFault, _ bytes: [UInt8], _ end: Int, _ position: Int) -> Step {
        let line = RequestLineGuess(bytes[position..<end])
        lastSequence += 1
        reading = .finished
        entries.append(Entry(sequence: lastSequence, isHead: line.method == "HEAD", keepsAlive: false, isSafe: true))
        return .fault(fault, FaultContext(target: line.target, head: nil, peer: peer), lastSequence)
    }

    /// - Parameter drops: the request was answered already.
    private mutating func fail(_ fault: RequestFault, _ head: RequestHead, _ drops: Bool) -> Step? {
        reading = .finished
        body = []
        guard !drops else {
            closeIfDone()
            return nil
        }
        let sequence = enqueue(head, keepsAlive: false)
        return .fault(fault, FaultContext(target: head.target, head: head, peer: peer), sequence)
    }

    /// Sets `closing` when no further request is read and all are answered.
    mutating func closeIfDone() {
        guard case .finished = reading, entries.isEmpty, closing == nil else { return }
        closing = inputHasEnded ? .atOnce : .lingering
    }
}

/// What the application decides when it knows the head of a request.
package enum Admission: Sendable {
    /// Read the body, of at most so many bytes (nil: as the settings say), and hand the request over.
    case read(bodyBytesMax: Int?)
    /// Answer without the body. No `100 Continue` is sent.
    case answer(Response, closes: Bool)
}

/// What is known about a request with a fault.
package struct FaultContext: Sendable {
    /// The request target, or the beginning of it; nil if the bytes have none.
    package let target: String?
    /// nil if the head has the fault.
    package let head: RequestHead?
    package let peer: PeerAddress
}

extension RequestHead {
    /// Whether the client wants the connection to be closed after the answer.
    var isLast: Bool { !keepsAlive }
}

extension HTTPMethod {
    var isHead: Bool { if case .head = self { true } else { false } }
    var isConnect: Bool { if case .connect = self { true } else { false } }
    var isOptions: Bool { if case .options = self { true } else { false } }
}

/// Method and target of a request whose line may be incomplete or wrong: for the form of the answer only.
private struct RequestLineGuess {
    var method = ""
    var target: String?

    init(_ bytes: ArraySlice<UInt8>) {
        let line = bytes.prefix(1_024).prefix { $0 != .carriageReturn && $0 != .lineFeed }
        let words = line.split(separator: .space, maxSplits: 2, omittingEmptySubsequences: false)
        guard words.count > 1 else { return }
        method = String(decoding: words[0], as: UTF8.self)
        target = String(decoding: words[1], as: UTF8.self)
    }
}
