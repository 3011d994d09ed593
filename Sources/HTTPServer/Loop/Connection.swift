import CLinux
import Glibc

/// One open socket of a loop, with the state of its connection. Only the loop's thread uses it.
final class Connection {
    let descriptor: Int32
    let id: ConnectionID
    /// Its requests are answered with 503, because there are too many connections.
    let isBeyondMax: Bool
    var machine: ConnectionMachine
    /// Bytes that are not consumed yet; empty for most connections at most times.
    var input: [UInt8] = []
    var exchanges: [Exchange] = []
    var streams: [UInt64: StreamBuffer] = [:]
    /// What epoll reports.
    var interest: UInt32 = 0
    var sentBytes = 0
    /// The client closes no more than its sending side, or all of it.
    var peerHasFinished = false
    var hasShutDown = false
    /// It is in the loop's list of connections to attend to.
    var isListed = false
    /// The client sent something that is not wanted yet.
    var hasEarlyInput = false

    init(descriptor: Int32, id: ConnectionID, isBeyondMax: Bool, machine: ConnectionMachine) {
        self.descriptor = descriptor
        self.id = id
        self.isBeyondMax = isBeyondMax
        self.machine = machine
    }

    enum Received {
        case bytes(Int)
        case end
        case nothing
        case failed
    }

    /// - Returns: how many bytes are in the buffer now, from its start.
    func receive(into buffer: inout [UInt8]) -> Received {
        while true {
            let count = buffer.withUnsafeMutableBytes { bytes in
                recv(descriptor, bytes.baseAddress!, bytes.count, 0)
            }
            if count > 0 { return .bytes(count) }
            if count == 0 { return .end }
            if errno == EAGAIN { return .nothing }
            if errno != EINTR { return .failed }
        }
    }

    /// Sends what the socket takes.
    ///
    /// - Returns: whether the connection still works.
    func send() -> Bool {
        while !machine.output.isEmpty {
            let count = machine.output.withBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if count > 0 {
                sentBytes += count
                machine.output.remove(count)
            } else if errno == EAGAIN {
                return true
            } else if errno != EINTR {
                return false
            }
        }
        return true
    }

    /// Bytes that the client may receive before the end of the connection are discarded.
    func resetOnClose() {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
    }

    func takeExchange(_ sequence: UInt64) -> Exchange? {
        exchanges.firstIndex { $0.sequence == sequence }.map { exchanges.remove(at: $0) }
    }

    /// The events that matter in the present state.
    var wantedInterest: UInt32 {
        var wanted: UInt32 = 0
        if machine.wantsBytes {
            hasEarlyInput = false
            if !machine.inputHasEnded { wanted |= stockq_epollin }
        } else if !hasEarlyInput, !machine.inputHasEnded {
            // Most clients send nothing before their answer: no call of the system for each request.
            wanted |= interest & stockq_epollin
        }
        if !peerHasFinished { wanted |= stockq_epollrdhup }
        if !machine.output.isEmpty { wanted |= stockq_epollout }
        return wanted
    }
}
