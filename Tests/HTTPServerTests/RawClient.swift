import Foundation
import HTTPServer
import StockQueueLocking

/// A client that sends and receives bytes as they are. Every wait ends after 20 seconds with an error.
final class RawClient {
    struct Answer: Equatable {
        var status: Int
        var head: String
        var body: String
    }

    enum Failure: Error {
        case connect(Int32)
        case timeout
        case reset
        case ended(String)
    }

    let descriptor: Int32
    private var input: [UInt8] = []

    init(port: Int, receiveBuffer: Int32? = nil) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        if var size = receiveBuffer {
            setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<Int32>.size))
        }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        try connect(&address)
    }

    init(unix path: String) throws {
        descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
        try connect(&address)
    }

    private func connect<Address>(_ address: inout Address) throws {
        var limit = timeval(tv_sec: 20, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        let size = socklen_t(MemoryLayout<Address>.size)
        let code = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { Foundation.connect(descriptor, $0, size) }
        }
        if code != 0 { throw Failure.connect(errno) }
    }

    deinit { close(descriptor) }

    func send(_ text: String) {
        let bytes = Array(text.utf8)
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes {
                Foundation.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return }
            sent += count
        }
    }

    func finishSending() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// Closes so that the server gets a reset.
    func reset() {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
        // The number stays taken until the end of this object.
        let null = open("/dev/null", O_RDONLY)
        dup2(null, descriptor)
        close(null)
    }

    /// - Returns: false at the end.
    private func receive() throws -> Bool {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        if count < 0 { throw errno == EAGAIN ? Failure.timeout : .reset }
        input += buffer[..<count]
        return count > 0
    }

    /// Everything until the server closes.
    func readAll() throws -> String {
        while try receive() {}
        defer { input = [] }
        return String(decoding: input, as: UTF8.self)
    }

    /// At least so many bytes.
    func read(atLeast count: Int) throws -> Int {
        while input.count < count, try receive() {}
        defer { input = [] }
        return input.count
    }

    /// What has arrived, at least one byte.
    func readSome() throws -> String {
        if input.isEmpty, try !receive() { throw Failure.ended("") }
        defer { input = [] }
        return String(decoding: input, as: UTF8.self)
    }

    /// One answer with a `Content-Length`, or without a body.
    ///
    /// - Parameter hasBody: false for the answer to HEAD.
    func readAnswer(hasBody: Bool = true) throws -> Answer {
        let separator = Array("\r\n\r\n".utf8)
        var end: Int?
        repeat {
            end = input.indices.first { input[$0...].starts(with: separator) }
            if end == nil, try !receive() { throw Failure.ended(String(decoding: input, as: UTF8.self)) }
        } while end == nil
        let head = String(decoding: input[..<end!], as: UTF8.self)
        let length = head.split(separator: "\r\n").first { $0.lowercased().hasPrefix("content-length: ") }
        let count = hasBody ? Int(length?.dropFirst(16) ?? "0") ?? 0 : 0
        while input.count < end! + 4 + count {
            if try !receive() { throw Failure.ended(String(decoding: input, as: UTF8.self)) }
        }
        let body = String(decoding: input[(end! + 4)..<(end! + 4 + count)], as: UTF8.self)
        input.removeFirst(end! + 4 + count)
        return Answer(status: Int(head.dropFirst(9).prefix(3)) ?? 0, head: head, body: body)
    }
}

/// A server on the loopback interface, with what its application has received.
final class TestServer: Sendable {
    let server: HTTPServer
    let port: Int
    private let calls: Calls

    /// Calls that the application has not answered, in order.
    private final class Calls: Sendable {
        let waiting = Mutex<[Call]>([])
        let arrived = DispatchSemaphore(value: 0)
        let departures = Mutex<[Departure]>([])
        let departed = DispatchSemaphore(value: 0)
    }

    /// Routes: `/now` answers at once, `/wait` waits for `next`, `/drop` gives no answer.
    init(_ endpoints: [Endpoint] = [.tcp("127.0.0.1", 0)], _ change: (inout ServerSettings) -> Void = { _ in }) throws {
        var settings = ServerSettings()
        change(&settings)
        let calls = Calls()
        var routes = RouteTable()
        for method in [HTTPMethod.get, .put, .post] {
            routes.add(method, "/now") { $0.respond(.text(.ok, "\($0.request.body.count)")) }
            routes.add(method, "/drop") { _ in }
            routes.add(method, "/small", bodyBytesMax: 3) { $0.respond(.text(.ok, "small")) }
            routes.add(method, "/fail") { _ in throw HTTPFailure(.conflict, "not now") }
            routes.add(method, "/wait") { call in
                call.responder.onDeparture { departure in
                    calls.departures.withLock { $0.append(departure) }
                    calls.departed.signal()
                }
                calls.waiting.withLock { $0.append(call) }
                calls.arrived.signal()
            }
        }
        routes.setErrorStyle(under: "/v2") { failure in
            .json(failure.status, Array(#"{"errors":[{"status":\#(failure.status)}]}"#.utf8))
        }
        server = try HTTPServer(endpoints, settings: settings, handler: RouteHandler(routes))
        port = server.addresses.first.flatMap { Int($0.split(separator: ":").last ?? "") } ?? 0
        self.calls = calls
    }

    func client() throws -> RawClient { try RawClient(port: port) }

    /// Waits for the next call of `/wait`.
    func next() throws -> Call {
        guard calls.arrived.wait(timeout: .now() + 20) == .success else { throw RawClient.Failure.timeout }
        return calls.waiting.withLock { $0.removeFirst() }
    }

    func nextDeparture() throws -> Departure {
        guard calls.departed.wait(timeout: .now() + 20) == .success else { throw RawClient.Failure.timeout }
        return calls.departures.withLock { $0.removeFirst() }
    }

    deinit {
        server.shutDown(graceMs: 0)
        server.wait()
    }
}
