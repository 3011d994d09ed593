import Foundation

/// A client that sends and receives bytes as they are. Every wait ends after 20 seconds with an error.
public final class RawClient {
    public struct Answer: Equatable {
        public var status: Int
        public var head: String
        public var body: String
    }

    public enum Failure: Error {
        case connect(Int32)
        case timeout
        case reset
        case ended(String)
    }

    public let descriptor: Int32
    private var input: [UInt8] = []

    public init(port: Int, receiveBuffer: Int32? = nil) throws {
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

    public init(unix path: String) throws {
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

    public func send(_ text: String) {
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

    public func finishSending() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// Closes so that the server gets a reset.
    public func reset() {
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
    public func readAll() throws -> String {
        while try receive() {}
        defer { input = [] }
        return String(decoding: input, as: UTF8.self)
    }

    /// At least so many bytes.
    public func read(atLeast count: Int) throws -> Int {
        while input.count < count, try receive() {}
        defer { input = [] }
        return input.count
    }

    /// What has arrived, at least one byte.
    public func readSome() throws -> String {
        if input.isEmpty, try !receive() { throw Failure.ended("") }
        defer { input = [] }
        return String(decoding: input, as: UTF8.self)
    }

    /// One answer with a `Content-Length`, or without a body.
    ///
    /// - Parameter hasBody: false for the answer to HEAD.
    public func readAnswer(hasBody: Bool = true) throws -> Answer {
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
