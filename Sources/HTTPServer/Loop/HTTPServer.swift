import CLinux
import Glibc
import StockQueueLocking

/// Serves HTTP/1.1 and HTTP/1.0 on its listeners. It knows nothing of what the requests mean.
///
/// ```swift
/// let server = try HTTPServer([.tcp("127.0.0.1", 8080)], settings: ServerSettings(), handler: application)
/// …
/// server.shutDown(graceMs: 5_000)
/// server.wait()
/// ```
package final class HTTPServer: Sendable {
    /// Where the server listens: of a TCP endpoint with port 0, the port that the system chose.
    package let addresses: [String]
    private let mailboxes: [Mailbox]
    private let counters: [LoopCounters]
    private let threads: Mutex<[LoopThread]>

    /// Binds the endpoints and starts to serve.
    ///
    /// - Throws: `ListenError`, or `SocketError` when the system has no descriptors.
    package init(_ endpoints: [Endpoint], settings: ServerSettings, handler: any RequestHandler) throws {
        let loops = max(1, settings.loops)
        let listeners = try endpoints.flatMap { try Listener.open($0, users: loops) }
        addresses = listeners.map(\.name)
        // Each loop has its part of the limits.
        var share = settings
        share.connectionsMax = max(1, settings.connectionsMax / loops)
        share.requestsMax = max(1, settings.requestsMax / loops)
        share.bodyBytesMax = max(1, settings.bodyBytesMax / loops)
        let mailboxes = try (0..<loops).map { _ in try Mailbox() }
        let counters = (0..<loops).map { _ in LoopCounters() }
        (self.mailboxes, self.counters) = (mailboxes, counters)
        var threads: [LoopThread] = []
        do {
            for index in 0..<loops {
                let share = share
                let thread = try LoopThread("http \(index)") { epoll in
                    EventLoop(
                        settings: share, handler: handler, mailbox: mailboxes[index], counters: counters[index],
                        listeners: listeners, epoll: epoll
                    ).run()
                }
                threads.append(thread)
            }
        } catch {
            for (index, thread) in threads.enumerated() {
                mailboxes[index].post(.shutDown(graceMs: 0))
                thread.join()
            }
            throw error
        }
        self.threads = Mutex(threads)
    }

    /// Stops listening, answers what is under way with `Connection: close`, and closes idle connections. Returns at once.
    ///
    /// - Parameter graceMs: what is not answered by then is cut.
    package func shutDown(graceMs: Int) {
        for mailbox in mailboxes { mailbox.post(.shutDown(graceMs: graceMs)) }
    }

    /// Waits until a shutdown is complete.
    package func wait() {
        let threads = threads.withLock { threads in
            let running = threads
            threads = []
            return running
        }
        for thread in threads { thread.join() }
    }

    package var statistics: ServerStatistics {
        counters.reduce(into: ServerStatistics()) { $0.add($1.value) }
    }
}

/// What a server has done so far.
package struct ServerStatistics: Sendable, Equatable {
    /// Open now.
    package var connections = 0
    package var accepted = 0
    /// Handed to the application.
    package var requests = 0
    /// Requests that the server answered itself, because of a fault or a limit.
    package var faults = 0
    /// Connections whose time was up.
    package var timeouts = 0
    /// Attempts to accept a connection that failed for want of descriptors or memory.
    package var acceptFailures = 0

    package init() {}

    mutating func add(_ other: ServerStatistics) {
        connections += other.connections
        accepted += other.accepted
        requests += other.requests
        faults += other.faults
        timeouts += other.timeouts
        acceptFailures += other.acceptFailures
    }
}

/// The statistics of one loop, published once a turn.
final class LoopCounters: Sendable {
    private let statistics = Mutex(ServerStatistics())

    var value: ServerStatistics { statistics.withLock { $0 } }

    func set(_ value: ServerStatistics) { statistics.withLock { $0 = value } }
}

/// A thread of the C library, which runs until its body returns.
struct LoopThread: Sendable {
    private let thread: pthread_t

    /// - Parameter body: gets a set of descriptors that is made before the thread starts, so that an error has a caller.
    init(_ name: String, _ body: @escaping @Sendable (EpollSet) -> Void) throws {
        let start = Unmanaged.passRetained(Start(try EpollSet(), body))
        var thread = pthread_t()
        let code = pthread_create(
            &thread, nil,
            { argument in
                let start = Unmanaged<Start>.fromOpaque(argument!).takeRetainedValue()
                start.body(start.epoll)
                return nil
            }, start.toOpaque())
        guard code == 0 else {
            start.release()
            throw SocketError("pthread_create", code)
        }
        stockq_name_thread(thread, name)
        self.thread = thread
    }

    func join() { pthread_join(thread, nil) }

    private final class Start {
        let epoll: EpollSet
        let body: @Sendable (EpollSet) -> Void

        init(_ epoll: EpollSet, _ body: @escaping @Sendable (EpollSet) -> Void) {
            self.epoll = epoll
            self.body = body
        }
    }
}
