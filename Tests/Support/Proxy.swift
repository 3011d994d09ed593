import Foundation
import PrivateCluster
import StockQueueLocking
import StockQueuePostgres

/// A man in the middle between a worker and its server, who understands the protocol's messages (PostgreSQL manual, 55.7
/// "Message Formats") and does to them what a test says.
///
/// It listens on a port of the loopback interface and connects to the server's unix socket, two threads a connection.
public final class Proxy: Sendable {
    public enum Direction: Sendable { case toServer, toClient }

    public struct Message: Sendable {
        /// Connections are numbered as they come.
        public let connection: Int
        /// The application name that the client gave, for instance `tests worker 1`.
        public let application: String
        public let direction: Direction
        /// The message's first byte; `startup` for the first one, which has none.
        public let type: UInt8
        /// The prepared statement that the message is about, where it is about one.
        public let statement: String
        /// What the server says that it has done, of a CommandComplete; for instance `COMMIT`.
        public let tag: String
        /// Its length on the wire.
        public let size: Int
        /// The server's process, once it has told.
        public let backend: Int32

        public var isOfWorker: Bool { application.contains(" worker ") }
        public func isOf(_ letter: Character) -> Bool { type == letter.asciiValue }
    }

    public static let startup: UInt8 = 0

    public enum StockAction: Sendable {
        case pass
        /// Neither this message nor any other arrives; both sides see the connection end.
        case cut
        /// The first bytes arrive, then both sides see the connection end.
        case cutAfter(Int)
        /// Nothing arrives any more, and nobody is told.
        case silence
        /// This one message never arrives, and those behind it do: no network does that, a broken pooler might.
        case lose
        case delay(milliseconds: Int)
        /// One byte a millisecond.
        case drip
        /// The server is made to fail with this SQLSTATE in place of the message's statement. For Bind messages.
        case fail(sqlState: String)
    }

    public typealias Rule = @Sendable (Message) -> StockAction

    private struct State {
        var rule: Rule = { _ in .pass }
        var isRefusing = false
        var isClosed = false
        var connections: [Int: Link] = [:]
        var count = 0
        var cut: Set<Int> = []
    }

    public let port: Int
    private let listener: Int32
    private let upstream: String
    private let state = Mutex(State())

    /// In front of a database's server.
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

    /// What happens to each message from now on. Called from several threads at once.
    public func setRule(_ rule: @escaping Rule) { state.withLock { $0.rule = rule } }

    public func passAll() { setRule { _ in .pass } }

    /// How many connections a rule has cut so far.
    public var cutConnections: Int { state.withLock { $0.cut.count } }

    /// New connections are accepted and ended at once, or served again.
    public func refuse(_ refuses: Bool) { state.withLock { $0.isRefusing = refuses } }

    /// Ends all connections as a network would that lost them, with both sides told.
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
            if state.withLock({ $0.isRefusing }) {
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
        let link = Link(client: client, server: server)
        let number = state.withLock { state in
            state.count += 1
            state.connections[state.count] = link
            return state.count
        }
        for direction in [Direction.toServer, .toClient] {
            run { [self] in
                Pump(
                    number: number, direction: direction, link: link,
                    rule: { [self] message in state.withLock { $0.rule }(message) },
                    cut: { [self] in
                        state.withLock { _ = $0.cut.insert(number) }
                        link.cut()
                    }
                ).run()
                if link.leave() { state.withLock { $0.connections[number] = nil } }
            }
        }
    }
}

/// The two sockets of a connection through the proxy, and what both directions know of it.
private final class Link: Sendable {
    struct Facts {
        var application = ""
        /// The statement of the Bind that an Execute belongs to.
        var bound = ""
        var backend: Int32 = 0
        var isSilent = false
        var pumps = 2
    }

    let client: Int32
    let server: Int32
    let facts = Mutex(Facts())

    init(client: Int32, server: Int32) {
        self.client = client
        self.server = server
    }

    deinit {
        close(client)
        close(server)
    }

    func cut() {
        for end in [client, server] { shutdown(end, Int32(SHUT_RDWR)) }
    }

    /// - Returns: true for the last of both directions.
    func leave() -> Bool {
        facts.withLock { facts in
            facts.pumps -= 1
            return facts.pumps == 0
        }
    }
}

/// One direction of a connection, message by message.
private struct Pump {
    let number: Int
    let direction: Proxy.Direction
    let link: Link
    let rule: Proxy.Rule
    let cut: @Sendable () -> Void

    private var source: Int32 { direction == .toServer ? link.client : link.server }
    private var target: Int32 { direction == .toServer ? link.server : link.client }

    func run() {
        var buffer: [UInt8] = []
        var hasStarted = direction == .toClient
        while let chunk = read() {
            if link.facts.withLock({ $0.isSilent }) { continue }
            buffer += chunk
            // Once it is silent nothing more passes, also of what came in the same piece: a network loses the end of a stream,
            // never something from its middle.
            while !link.facts.withLock({ $0.isSilent }), let size = Self.messageSize(buffer[...], hasType: hasStarted) {
                let bytes = Array(buffer[..<size])
                buffer.removeFirst(size)
                if !forward(bytes, isStartup: !hasStarted) { return }
                hasStarted = true
            }
        }
        // One side has ended, and the other is told; not on a connection that is silent.
        if !link.facts.withLock({ $0.isSilent }) { link.cut() }
    }

    private static func messageSize(_ buffer: ArraySlice<UInt8>, hasType: Bool) -> Int? {
        let head = hasType ? 1 : 0
        guard buffer.count >= head + 4 else { return nil }
        let length = buffer.dropFirst(head).prefix(4).reduce(0) { $0 << 8 | Int($1) }
        return buffer.count >= head + length ? head + length : nil
    }

    /// - Returns: false when this direction has nothing more to do.
    private func forward(_ bytes: [UInt8], isStartup: Bool) -> Bool {
        switch rule(describe(bytes, isStartup: isStartup)) {
        case .pass: return write(bytes)
        case .cut:
            cut()
            return false
        case .cutAfter(let count):
            _ = write(Array(bytes.prefix(count)))
            cut()
            return false
        case .silence:
            link.facts.withLock { $0.isSilent = true }
            return true
        case .lose: return true
        case .delay(let milliseconds):
            pause(milliseconds: milliseconds)
            return write(bytes)
        case .drip:
            for byte in bytes {
                pause(milliseconds: 1)
                if !write([byte]) { return false }
            }
            return true
        case .fail(let sqlState):
            return write(Self.failingStatement(sqlState) + bytes)
        }
    }

    private func describe(_ bytes: [UInt8], isStartup: Bool) -> Proxy.Message {
        func text(at offset: Int) -> String { String(decoding: bytes[offset...].prefix { $0 != 0 }, as: UTF8.self) }
        let type = isStartup ? Proxy.startup : bytes[0]
        return link.facts.withLock { facts in
            var statement = ""
            var tag = ""
            switch (direction, type) {
            case (.toServer, Proxy.startup):
                let words = bytes[8...].split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
                if let place = words.firstIndex(of: "application_name"), place + 1 < words.count {
                    facts.application = words[place + 1]
                }
            case (.toServer, UInt8(ascii: "P")): statement = text(at: 5)
            case (.toServer, UInt8(ascii: "B")):
                // The portal's name comes first.
                statement = text(at: 5 + text(at: 5).utf8.count + 1)
                facts.bound = statement
            case (.toServer, UInt8(ascii: "E")): statement = facts.bound
            case (.toClient, UInt8(ascii: "C")): tag = text(at: 5)
            case (.toClient, UInt8(ascii: "K")):
                facts.backend = Int32(bytes[5..<9].reduce(0) { $0 << 8 | Int($1) })
            default: break
            }
            return Proxy.Message(
                connection: number, application: facts.application, direction: direction, type: type,
                statement: statement, tag: tag, size: bytes.count, backend: facts.backend)
        }
    }

    /// Parse, Bind and Execute of a statement that fails as told; the server then skips everything up to the Sync. libpq
    /// ignores the two completions that come with it.
    private static func failingStatement(_ sqlState: String) -> [UInt8] {
        func message(_ type: Character, _ body: [UInt8]) -> [UInt8] {
            let length = UInt32(body.count + 4)
            return [type.asciiValue ?? 0] + withUnsafeBytes(of: length.bigEndian) { Array($0) } + body
        }
        return message("P", [0] + Array("SELECT audit.fail('\(sqlState)')".utf8) + [0, 0, 0])
            + message("B", [0, 0, 0, 0, 0, 0, 0, 0]) + message("E", [0, 0, 0, 0, 0])
    }

    private func read() -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = Foundation.read(source, &bytes, bytes.count)
            if count < 0 && errno == EINTR { continue }
            return count > 0 ? Array(bytes[..<count]) : nil
        }
    }

    private func write(_ bytes: [UInt8]) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { send(target, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            if count < 0 && errno == EINTR { continue }
            if count <= 0 {
                link.cut()
                return false
            }
            rest = rest.dropFirst(count)
        }
        return true
    }
}
