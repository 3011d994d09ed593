import Foundation
import PrivateCluster
import StockQueueLocking
import StockQueuePostgres

/// A proxy between a worker and its server. It parses the messages of the protocol (PostgreSQL manual, 55.7 "Message
/// Formats") and does with each what a rule of the test says.
///
/// It listens on a port of the loopback interface and connects to the server's Unix socket, with two threads a
/// connection.
public final class Proxy: Sendable {
    public enum Direction: Sendable { case toServer, toClient }

    public struct Message: Sendable {
        /// Connections are numbered in the order in which they are made.
        public let connection: Int
        /// The application name that the client gave, for instance `tests worker 1`.
        public let application: String
        public let direction: Direction
        /// The message's first byte; `startup` for the first message, which has none.
        public let type: UInt8
        /// The prepared statement that the message names; otherwise empty.
        public let statement: String
        /// The command tag of a CommandComplete, for instance `COMMIT`.
        public let tag: String
        /// Bytes on the wire.
        public let size: Int
        /// The server's process; 0 until the server has sent it.
        public let backend: Int32

        public var isOfWorker: Bool { application.contains(" worker ") }
        public var isOfDeliverer: Bool { application.hasSuffix(" deliverer") }
        public func isOf(_ letter: Character) -> Bool { type == letter.asciiValue }
    }

    public static let startup: UInt8 = 0

    /// What happens to a message.
    public enum Effect: Sendable {
        case pass
        /// Neither this message nor a later one arrives; both sides see the end of the connection.
        case cut
        /// The first bytes arrive, then both sides see the end of the connection.
        case cutAfter(Int)
        /// Nothing arrives any more, and neither side notices.
        case silence
        /// This message never arrives, and later ones do: no network does that, but a faulty pooler might.
        case lose
        case delay(milliseconds: Int)
        /// One byte a millisecond.
        case drip
        /// The server raises this SQLSTATE instead of running the message's statement. For Bind messages.
        case fail(sqlState: String)
    }

    public typealias Rule = @Sendable (Message) -> Effect

    private struct State {
        var rule: Rule = { _ in .pass }
        var rejectsConnections = false
        var rejected = 0
        var isClosed = false
        var connections: [Int: ProxyLink] = [:]
        var count = 0
        var cut: Set<Int> = []
    }

    public let port: Int
    private let listener: Int32
    private let upstream: String
    private let state = Mutex(State())

    /// A proxy for a database's server.
    public convenience init(to database: TestDatabase) throws {
        try self.init(upstream: database.cluster.folder + "/.s.PGSQL.\(database.cluster.port)")
    }

    /// - Parameter upstream: the path of the server's socket.
    public init(upstream: String) throws {
        self.upstream = upstream
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(listener, address, length) == 0 && listen(listener, 128) == 0
                    && getsockname(listener, address, &length) == 0
            }
        }
        guard listener >= 0, isBound else { throw POSIXError(.init(rawValue: errno) ?? .EIO) }
        self.listener = listener
        port = Int(UInt16(bigEndian: address.sin_port))
        run { [self] in accept() }
    }

    deinit { close() }

    public func conninfo(database: String) -> String {
        "host=127.0.0.1 port=\(port) user=stockq dbname=\(database) sslmode=disable gssencmode=disable"
    }

    /// Sets what happens to each message from now on. Several threads call the rule at the same time.
    public func setRule(_ rule: @escaping Rule) { state.withLock { $0.rule = rule } }

    public func passAll() { setRule { _ in .pass } }

    /// How many connections the rules have cut so far.
    public var cutConnections: Int { state.withLock { $0.cut.count } }

    /// How many connections were rejected so far.
    public var rejectedConnections: Int { state.withLock { $0.rejected } }

    /// Ends new connections as soon as they are made, or serves them again.
    public func rejectConnections(_ rejects: Bool) { state.withLock { $0.rejectsConnections = rejects } }

    /// Ends all connections; both sides notice.
    public func cutAll() { for link in state.withLock({ Array($0.connections.values) }) { link.cut() } }

    public func close() {
        let isFirst = state.withLock { state in
            defer { state.isClosed = true }
            return !state.isClosed
        }
        if !isFirst { return }
        shutdown(listener, Int32(SHUT_RDWR))
        Foundation.close(listener)
        cutAll()
    }

    // MARK: connections

    private func run(_ body: @escaping @Sendable () -> Void) {
        let thread = Thread(block: body)
        thread.start()
    }

    private func accept() {
        while true {
            let client = Foundation.accept(listener, nil, nil)
            if client < 0 {
                if state.withLock({ $0.isClosed }) { return }
                continue
            }
            var one: Int32 = 1
            setsockopt(client, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
            let isRejected = state.withLock { state in
                if state.rejectsConnections { state.rejected += 1 }
                return state.rejectsConnections
            }
            if isRejected {
                Foundation.close(client)
                continue
            }
            guard let server = connectUpstream() else {
                Foundation.close(client)
                continue
            }
            serve(client, server)
        }
    }

    private func connectUpstream() -> Int32? {
        let server = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: upstream.utf8.prefix($0.count - 1)) }
        let isConnected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(server, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
            }
        }
        if isConnected { return server }
        Foundation.close(server)
        return nil
    }

    private func serve(_ client: Int32, _ server: Int32) {
        let link = ProxyLink(client: client, server: server)
        let number = state.withLock { state in
            state.count += 1
            state.connections[state.count] = link
            return state.count
        }
        for direction in [Direction.toServer, .toClient] {
            run { [self] in
                ProxyPump(
                    number: number, direction: direction, link: link,
                    rule: { [self] message in state.withLock { $0.rule }(message) },
                    cut: { [self] in
                        state.withLock { _ = $0.cut.insert(number) }
                        link.cut()
                    }
                ).run()
                if link.endPump() { state.withLock { $0.connections[number] = nil } }
            }
        }
    }
}
