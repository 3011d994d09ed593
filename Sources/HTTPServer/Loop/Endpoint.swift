/// Where a server listens.
package enum Endpoint: Sendable, Equatable, CustomStringConvertible {
    /// A host name or an address; port 0 for one that the system chooses. `*` means all addresses, IPv6 and IPv4.
    case tcp(String, Int)
    /// A Unix socket, with its permissions.
    case unix(String, mode: UInt32)
    /// The sockets that systemd passes (`sd_listen_fds(3)`).
    case systemd

    /// Parses `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080`, `*:8080`, `unix:/run/x.sock` or `systemd`.
    ///
    /// - Returns: nil for another text.
    package init?(_ text: String) {
        if text == "systemd" {
            self = .systemd
        } else if text.hasPrefix("unix:") {
            let path = String(text.dropFirst(5))
            guard !path.isEmpty else { return nil }
            self = .unix(path, mode: 0o660)
        } else {
            guard let colon = text.utf8.lastIndex(of: UInt8(ascii: ":")) else { return nil }
            let digits = text[text.utf8.index(after: colon)...]
            guard let port = Int(digits), (0...65_535).contains(port), digits.utf8.allSatisfy(ByteClass.digit.contains)
            else { return nil }
            var host = text[..<colon]
            if host.hasPrefix("["), host.hasSuffix("]") {
                host = host.dropFirst().dropLast()
            } else if host.contains(":") {
                return nil
            }
            guard !host.isEmpty else { return nil }
            self = .tcp(String(host), port)
        }
    }

    package var description: String {
        switch self {
        case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .unix(let path, _): "unix:\(path)"
        case .systemd: "systemd"
        }
    }
}

/// A server cannot listen.
package struct ListenError: Error, Sendable, CustomStringConvertible {
    package let endpoint: Endpoint
    /// What was wrong, and what to do.
    package let reason: String

    package var description: String { "cannot listen on \(endpoint): \(reason)" }
}
