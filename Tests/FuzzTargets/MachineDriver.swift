import HTTPServer

/// Plays the part of a loop for one connection: passes bytes, notes what is handed out, and collects the output.
package struct MachineDriver {
    package var machine: ConnectionMachine
    /// Requests that wait for an answer, by their path.
    package var waiting: [(path: String, body: String, sequence: UInt64)] = []
    package var faults: [Int] = []
    /// What has been sent, without `Date` and `Keep-Alive`.
    package var sent = ""
    package var now = 1_000
    private var input: [UInt8] = []
    private var admit: (RequestHead) -> Admission = { _ in .read(bodyBytesMax: nil) }

    package init(_ settings: ServerSettings = ServerSettings(), admit: ((RequestHead) -> Admission)? = nil) {
        machine = ConnectionMachine(settings: settings, peer: PeerAddress("test"))
        if let admit { self.admit = admit }
        update()
    }

    private var moment: Moment { Moment(milliseconds: now, dateLine: []) }

    package mutating func receive(_ text: String) { receive(Array(text.utf8)) }

    package mutating func receive(_ bytes: [UInt8]) {
        input += bytes
        advance()
    }

    package mutating func endInput() {
        machine.endInput()
        advance()
    }

    /// Answers the first waiting request with this path, with its path and body as the body.
    package mutating func answer(_ path: String, _ status: HTTPStatus = .ok) {
        guard let index = waiting.firstIndex(where: { $0.path == path }) else { return }
        let request = waiting.remove(at: index)
        machine.answer(request.sequence, Response(status, body: Array((path + request.body).utf8)), moment)
        advance()
    }

    package mutating func stream(_ path: String) {
        guard let index = waiting.firstIndex(where: { $0.path == path }) else { return }
        machine.stream(waiting.remove(at: index).sequence, Response(.ok), moment)
        advance()
    }

    package mutating func write(_ text: String) {
        machine.write(Array(text.utf8))
        update()
    }

    package mutating func endStream(isComplete: Bool = true) {
        machine.endStream(isComplete: isComplete, moment)
        advance()
    }

    /// Lets time pass, up to the connection's deadline and beyond.
    package mutating func pass(milliseconds: Int) {
        now += milliseconds
        guard now >= machine.deadline else { return }
        handle(machine.timeOut(input))
        input = []
        advance()
    }

    package mutating func drain() {
        machine.drain()
        advance()
    }

    private mutating func advance() {
        var position = 0
        steps: while true {
            let step = machine.next(input, end: input.count, &position)
            if case .wait = step { break steps }
            handle(step)
        }
        input.removeFirst(position)
        update()
    }

    private mutating func handle(_ step: ConnectionMachine.Step?) {
        switch step {
        case .wait, nil: break
        case .head(let head): machine.admit(admit(head), moment)
        case .request(let request, let sequence):
            waiting.append(
                (
                    String(decoding: request.head.path, as: UTF8.self), String(decoding: request.body, as: UTF8.self),
                    sequence
                ))
        case .fault(let fault, _, let sequence):
            faults.append(fault.status.code)
            machine.answer(sequence, Response(fault.status), moment)
        }
    }

    private mutating func update() {
        machine.output.withBytes { sent += String(decoding: $0, as: UTF8.self) }
        machine.output.remove(machine.output.count)
        for line in ["Keep-Alive: timeout=60\r\n", "Connection: keep-alive\r\n"] {
            sent = sent.split(separator: line, omittingEmptySubsequences: false).joined()
        }
        machine.updateTimer(now: now, sentBytes: 0)
    }

    package static func get(_ path: String) -> String { "GET \(path) HTTP/1.1\r\nHost: x\r\n\r\n" }

    package static func put(_ path: String, _ body: String, _ fields: String = "") -> String {
        "PUT \(path) HTTP/1.1\r\nHost: x\r\n\(fields)Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
    }

    package static func answer(_ body: String, _ fields: String = "") -> String {
        "HTTP/1.1 200 OK\r\nContent-Length: \(body.utf8.count)\r\n\(fields)\r\n\(body)"
    }
}
