import CLinux
import Glibc
import StockQueueLocking

/// A listening socket, shared by the loops. The last loop that releases it closes it.
final class Listener: Sendable {
    let descriptor: Int32
    /// The endpoint with the port that is really used.
    let name: String
    /// The socket file to remove, with its identity: another process may have made a new one under this name.
    private let file: (path: String, identity: FileIdentity)?
    private let isInherited: Bool
    private let users: Mutex<Int>

    private init(
        _ descriptor: Int32, name: String, file: (path: String, identity: FileIdentity)? = nil,
        isInherited: Bool = false, users: Int
    ) {
        self.descriptor = descriptor
        self.isInherited = isInherited
        self.name = name
        self.file = file
        self.users = Mutex(users)
    }

    /// - Parameter users: the loops, each of which calls `release`.
    static func open(_ endpoint: Endpoint, users: Int) throws -> [Listener] {
        switch endpoint {
        case .tcp(let host, let port): try openTCP(endpoint, host, port, users)
        case .unix(let path, let mode): [try openUnix(endpoint, path, mode, users)]
        case .systemd: try openInherited(endpoint, users)
        }
    }

    func release() {
        let isLast = users.withLock { users in
            users -= 1
            return users == 0
        }
        guard isLast else { return }
        if let file, FileIdentity(path: file.path) == file.identity { unlink(file.path) }
        // A process that is being started may have a copy of the descriptor for a moment. A socket of systemd goes on.
        if !isInherited { shutdown(descriptor, Int32(SHUT_RDWR)) }
        close(descriptor)
    }

    // MARK: TCP

    private static func openTCP(_ endpoint: Endpoint, _ host: String, _ port: Int, _ users: Int) throws -> [Listener] {
        var hints = addrinfo()
        hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV
        hints.ai_family = host == "*" ? AF_INET6 : AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var first: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host == "*" ? "::" : host, String(port), &hints, &first)
        guard code == 0 else { throw ListenError(endpoint: endpoint, reason: String(cString: gai_strerror(code))) }
        defer { freeaddrinfo(first) }
        var listeners: [Listener] = []
        var next = first
        var lastCode: Int32 = 0
        while let info = next?.pointee {
            next = info.ai_next
            let descriptor = socket(info.ai_family, info.ai_socktype | stockq_sock_flags, info.ai_protocol)
            guard descriptor >= 0 else {
                // A system without IPv6.
                lastCode = errno
                continue
            }
            setOption(descriptor, SOL_SOCKET, SO_REUSEADDR, 1)
            if info.ai_family == AF_INET6 {
                setOption(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, host == "*" ? 0 : 1)
            }
            guard bind(descriptor, info.ai_addr, info.ai_addrlen) == 0 else {
                lastCode = errno
                close(descriptor)
                // `localhost` without IPv6 on the loopback interface.
                if lastCode == EADDRNOTAVAIL, next != nil || !listeners.isEmpty { continue }
                for listener in listeners { close(listener.descriptor) }
                throw ListenError(endpoint: endpoint, reason: Self.advice(lastCode))
            }
            listeners.append(try listen(descriptor, endpoint, users: users))
        }
        guard !listeners.isEmpty else { throw ListenError(endpoint: endpoint, reason: Self.advice(lastCode)) }
        return listeners
    }

    private static func listen(
        _ descriptor: Int32, _ endpoint: Endpoint, file: (path: String, identity: FileIdentity)? = nil, users: Int
    ) throws -> Listener {
        guard Glibc.listen(descriptor, SOMAXCONN) == 0 else {
            let code = errno
            close(descriptor)
            throw ListenError(endpoint: endpoint, reason: advice(code))
        }
        return Listener(descriptor, name: prepare(descriptor) ?? endpoint.description, file: file, users: users)
    }

    /// Sets the options that accepted connections inherit.
    ///
    /// - Returns: the address of a TCP socket.
    private static func prepare(_ descriptor: Int32) -> String? {
        var address = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let code = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
        }
        guard code == 0, let port = address.port else { return nil }
        // Answers are sent whole; waiting for more would only delay them.
        setOption(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
        // A client that vanished without a word is noticed within about two minutes.
        setOption(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1)
        setOption(descriptor, Int32(IPPROTO_TCP), TCP_KEEPIDLE, 60)
        setOption(descriptor, Int32(IPPROTO_TCP), TCP_KEEPINTVL, 15)
        setOption(descriptor, Int32(IPPROTO_TCP), TCP_KEEPCNT, 4)
        return Endpoint.tcp(PeerAddress(address).description, port).description
    }

    private static func setOption(_ descriptor: Int32, _ level: Int32, _ name: Int32, _ value: Int32) {
        var value = value
        setsockopt(descriptor, level, name, &value, socklen_t(MemoryLayout<Int32>.size))
    }

    private static func advice(_ code: Int32) -> String {
        let text = String(cString: strerror(code))
        switch code {
        case EADDRINUSE: return "\(text). Stop the process that listens there, or choose another port."
        case EACCES: return "\(text). Choose a port from 1024 on, or a folder that this user may write to."
        default: return text
        }
    }

    // MARK: Unix sockets

    private static func openUnix(_ endpoint: Endpoint, _ path: String, _ mode: UInt32, _ users: Int) throws -> Listener
    {
        guard var address = sockaddr_un(path: path) else {
            throw ListenError(endpoint: endpoint, reason: "the path has more than 107 bytes. Choose a shorter one.")
        }
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | stockq_sock_flags, 0)
        guard descriptor >= 0 else { throw SocketError("socket", errno) }
        if isStale(path, &address) { unlink(path) }
        // Between bind and chmod only this user may connect.
        let mask = umask(0o177)
        let code = address.withPointer { bind(descriptor, $0, $1) } == 0 ? 0 : errno
        umask(mask)
        guard code == 0, chmod(path, mode) == 0 else {
            let reason = advice(code == 0 ? errno : code)
            close(descriptor)
            throw ListenError(endpoint: endpoint, reason: reason)
        }
        let file = FileIdentity(path: path).map { (path: path, identity: $0) }
        return try listen(descriptor, endpoint, file: file, users: users)
    }

    /// Whether a killed process left its socket: a connection to it is refused.
    private static func isStale(_ path: String, _ address: inout sockaddr_un) -> Bool {
        guard FileIdentity(path: path)?.isSocket == true else { return false }
        let probe = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | stockq_sock_flags, 0)
        defer { close(probe) }
        return address.withPointer { connect(probe, $0, $1) } != 0 && errno == ECONNREFUSED
    }

    // MARK: systemd

    private static let firstInherited: Int32 = 3

    private static func openInherited(_ endpoint: Endpoint, _ users: Int) throws -> [Listener] {
        guard let pid = getenv("LISTEN_PID").flatMap({ Int32(String(cString: $0)) }), pid == getpid(),
            let count = getenv("LISTEN_FDS").flatMap({ Int32(String(cString: $0)) }), count > 0
        else {
            throw ListenError(
                endpoint: endpoint, reason: "systemd passed no socket. Start the service through its .socket unit.")
        }
        // The sockets are not for the processes that this one starts.
        for name in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"] { unsetenv(name) }
        return try (firstInherited..<firstInherited + count).map { descriptor in
            var isListening: Int32 = 0
            var length = socklen_t(MemoryLayout<Int32>.size)
            guard getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &isListening, &length) == 0, isListening == 1 else {
                throw ListenError(
                    endpoint: endpoint, reason: "descriptor \(descriptor) is no listening socket. Use ListenStream=.")
            }
            _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
            _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
            return Listener(descriptor, name: prepare(descriptor) ?? "systemd", isInherited: true, users: users)
        }
    }
}
