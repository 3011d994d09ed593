import Foundation

/// Reports to systemd what the process does (`sd_notify(3)`): a datagram to the socket in `NOTIFY_SOCKET`. Without it nothing
/// is sent.
package struct ServiceManager: Sendable {
    private let socketPath: String?
    /// How often systemd wants a sign of life; nil where it does not ask for one.
    package let watchdogInterval: Duration?

    package init(environment: [String: String] = ProcessInfo.processInfo.environment) {
        socketPath = environment["NOTIFY_SOCKET"].flatMap { $0.isEmpty ? nil : $0 }
        let isForThisProcess =
            environment["WATCHDOG_PID"].map { $0 == "\(ProcessInfo.processInfo.processIdentifier)" } ?? true
        watchdogInterval =
            isForThisProcess && socketPath != nil
            ? environment["WATCHDOG_USEC"].flatMap { Int64($0) }.map { .microseconds($0) } : nil
    }

    /// The process has started.
    package func ready() { send("READY=1") }

    /// The process has begun to stop.
    func stopping() { send("STOPPING=1") }

    /// The process lives.
    func alive() { send("WATCHDOG=1") }

    /// A line for `systemctl status`.
    func status(_ text: String) { send("STATUS=\(text)") }

    /// - Returns: false where the socket does not take it. The process works on all the same.
    @discardableResult
    private func send(_ message: String) -> Bool {
        guard let socketPath, let (address, length) = Self.address(socketPath) else { return false }
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        let bytes = Array(message.utf8)
        return withUnsafePointer(to: address) { address in
            address.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                sendto(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL), $0, length) == bytes.count
            }
        }
    }

    /// - Parameter path: of a file, or behind `@` a name in the abstract namespace (`unix(7)`).
    private static func address(_ path: String) -> (sockaddr_un, socklen_t)? {
        var bytes = Array(path.utf8)
        let isAbstract = bytes.first == UInt8(ascii: "@")
        if isAbstract { bytes[0] = 0 }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let offset = MemoryLayout<sockaddr_un>.offset(of: \.sun_path)!
        guard isAbstract || bytes.first == UInt8(ascii: "/"), bytes.count < MemoryLayout.size(ofValue: address.sun_path)
        else { return nil }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        return (address, socklen_t(offset + bytes.count + (isAbstract ? 0 : 1)))
    }
}
