import Foundation
import StockQueueLocking
import StockQueuePostgres

/// The two sockets of a connection through the proxy, and the state that both directions share.
final class ProxyLink: Sendable {
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

    /// Records the end of one direction.
    ///
    /// - Returns: true for the last of both directions.
    func endPump() -> Bool {
        facts.withLock { facts in
            facts.pumps -= 1
            return facts.pumps == 0
        }
    }
}

/// Forwards one direction of a connection, message by message.
struct ProxyPump {
    let number: Int
    let direction: Proxy.Direction
    let link: ProxyLink
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
            // Once the connection is silent nothing more passes, not even the rest of this read: a network loses the
            // end of a stream, never its middle.
            while !link.facts.withLock({ $0.isSilent }), let size = Self.messageSize(buffer[...], hasType: hasStarted) {
                let bytes = Array(buffer[..<size])
                buffer.removeFirst(size)
                if !forward(bytes, isStartup: !hasStarted) { return }
                hasStarted = true
            }
        }
        // One side has ended, so the other one must notice; not on a silent connection.
        if !link.facts.withLock({ $0.isSilent }) { link.cut() }
    }

    private static func messageSize(_ buffer: ArraySlice<UInt8>, hasType: Bool) -> Int? {
        let head = hasType ? 1 : 0
        guard buffer.count >= head + 4 else { return nil }
        let length = buffer.dropFirst(head).prefix(4).reduce(0) { $0 << 8 | Int($1) }
        return buffer.count >= head + length ? head + length : nil
    }

    /// - Returns: false when this direction has ended.
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
                if let index = words.firstIndex(of: "application_name"), index + 1 < words.count {
                    facts.application = words[index + 1]
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

    /// Parse, Bind and Execute of a statement that raises the SQLSTATE; the server then skips all messages up to the
    /// Sync. libpq ignores the two additional completions.
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
