import CLinux
import Glibc

// New connections.
extension EventLoop {
    /// One turn accepts so many connections of a listener at most: those that are open must not wait.
    static let acceptedMax = 64
    private static let pauseMs = 100

    func startAccepting() {
        acceptsAgainAt = Int.max
        guard !isAccepting, !listeners.isEmpty else { return }
        isAccepting = true
        for (index, listener) in listeners.enumerated() {
            // Without EPOLLEXCLUSIVE each connection would wake all loops.
            epoll.add(
                listener.descriptor, stockq_epollin | stockq_epollexclusive, tag: Self.listenerTag + UInt64(index))
        }
    }

    func stopAccepting() {
        guard isAccepting else { return }
        isAccepting = false
        for listener in listeners { epoll.remove(listener.descriptor) }
    }

    func accept(from listener: Listener, max: Int = EventLoop.acceptedMax) {
        for _ in 0..<max {
            guard counts.connections < settings.connectionsMax + settings.connectionsBeyondMax else {
                // The next ones wait in the system's queue until a connection is closed.
                return stopAccepting()
            }
            var address = sockaddr_storage()
            var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
            let descriptor = withUnsafeMutablePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    accept4(listener.descriptor, $0, &length, stockq_sock_flags)
                }
            }
            guard descriptor >= 0 else {
                switch errno {
                case EAGAIN: return
                case EMFILE, ENFILE, ENOBUFS, ENOMEM:
                    // No event says when there is a descriptor or memory again.
                    counts.acceptFailures += 1
                    acceptsAgainAt = clock.now + Self.pauseMs
                    nextDeadline = min(nextDeadline, acceptsAgainAt)
                    return stopAccepting()
                // The client is gone already, or the network of this one connection failed.
                default: continue
                }
            }
            open(descriptor, PeerAddress(address))
        }
    }

    private func open(_ descriptor: Int32, _ peer: PeerAddress) {
        let slot: Int
        if let free = freeSlots.popLast() {
            slot = free
        } else {
            slot = connections.count
            connections.append(nil)
            deadlines.append(Int.max)
        }
        // The highest generation would make the tags of listeners and mailbox.
        generation = (generation + 1) % (UInt32.max - 1)
        let connection = Connection(
            descriptor: descriptor, id: ConnectionID(slot: slot, generation: generation),
            isBeyondMax: counts.connections >= settings.connectionsMax,
            machine: ConnectionMachine(settings: settings, peer: peer))
        connections[slot] = connection
        counts.connections += 1
        counts.accepted += 1
        if drain != nil { connection.machine.drain() }
        connection.interest = connection.wantedInterest
        epoll.add(descriptor, connection.interest, tag: connection.id.bits)
        list(connection)
    }
}
