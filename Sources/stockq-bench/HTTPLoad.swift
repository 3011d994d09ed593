import CommandLineKit
import Foundation
import StockQueuePostgres

/// Requests that wrk sends to `stockq serve` (`scripts/bench-http.lua`).
struct HTTPLoad {
    /// The vendor's call.
    enum Call: String { case ecwid, prosperna }

    var call = Call.ecwid
    var connections = 128
    var products = HTTPLoad.productCount
    /// Milliseconds between an answer and the next request of a connection, in the mean.
    var pauseMs = 0

    static let productCount = 10_000
    static let store = "1003"
    /// Lines of a Prosperna request.
    static let prospernaLines = 15

    /// What wrk saw.
    struct Seen {
        /// Requests with the right answer.
        var answers: Int
        var seconds: Double
        var medianMs: Double
        var p99Ms: Double

        var rate: Double { Double(answers) / seconds }
    }

    /// - Throws: for a single wrong answer too: a fast run with wrong answers does not count.
    func run(port: UInt16, token: String, seconds: Int) throws -> Seen {
        var environment = ["TOKEN": token, "STORE": Self.store, "CALL": call.rawValue, "PRODUCTS": String(products)]
        if pauseMs > 0 { environment["PAUSE_MS"] = String(pauseMs) }
        let text = try StockqProcess.output(
            of: "/usr/bin/wrk",
            [
                "--threads", "1", "--connections", String(connections), "--duration", "\(seconds)s", "--timeout", "20s",
                "--script", "scripts/bench-http.lua", "http://127.0.0.1:\(port)",
            ], environment: environment)
        guard let match = text.firstMatch(of: /RESULT (\d+) (\d+) (\d+) (\d+) (\d+)/),
            let answers = Int(match.1), let wrong = Int(match.2), let microseconds = Double(match.3),
            let median = Double(match.4), let p99 = Double(match.5)
        else { throw Failure("wrk printed no result: \(text.suffix(500))") }
        if wrong > 0 { throw Failure("\(wrong) of \(answers + wrong) answers were wrong, see above") }
        return Seen(
            answers: answers, seconds: microseconds / 1e6, medianMs: median / 1_000, p99Ms: p99 / 1_000)
    }
}

/// Connections that are open beside a load and send little or nothing.
final class QuietConnections {
    private var idle: [Int32] = []
    private var slow: [Int32] = []
    private var bytesSent = 0

    /// A head that never ends in time: a byte of it is sent now and then.
    private static let head = Array("GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ".utf8)

    init(idle: Int, slow: Int, port: UInt16) throws {
        for _ in 0..<idle { self.idle.append(try Self.connect(port)) }
        for _ in 0..<slow { self.slow.append(try Self.connect(port)) }
    }

    deinit { for descriptor in idle + slow { close(descriptor) } }

    /// Sends the next byte on each slow connection. The server answers those that take too long and closes them.
    func sendByte() {
        let byte = bytesSent < Self.head.count ? Self.head[bytesSent] : UInt8(ascii: "x")
        bytesSent += 1
        for descriptor in slow {
            _ = withUnsafeBytes(of: byte) { send(descriptor, $0.baseAddress, 1, Int32(MSG_NOSIGNAL)) }
        }
    }

    static func connect(_ port: UInt16) throws -> Int32 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw Failure("socket: \(String(cString: strerror(errno)))") }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { Foundation.connect(descriptor, $0, size) }
        }
        if result == 0 { return descriptor }
        let problem = String(cString: strerror(errno))
        close(descriptor)
        throw Failure("connect: \(problem)")
    }

    /// A port that nothing listens on.
    static func freePort() throws -> UInt16 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, size) == 0 ? getsockname(descriptor, $0, &size) : -1
            }
        }
        guard result == 0 else { throw Failure("bind: \(String(cString: strerror(errno)))") }
        return UInt16(bigEndian: address.sin_port)
    }
}
