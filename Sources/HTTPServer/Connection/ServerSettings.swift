/// The limits and times of a server. Each limit on a request has a status that answers what exceeds it.
package struct ServerSettings: Sendable, Equatable {
    /// Bytes and counts of a request's parts: 414, 431, 413.
    package var limits = ParserLimits()
    /// Milliseconds from the first byte of a head to its end; then 408.
    package var headMs = 10_000
    /// Milliseconds from the end of a head to the end of the body; then 408.
    package var bodyMs = 30_000
    /// Milliseconds without a request that the server announces in `Keep-Alive`; a multiple of 1,000.
    package var idleMs = 60_000
    /// Milliseconds that the server waits beyond what it announced, so that a client that reuses a connection at the last
    /// moment still gets its answer.
    package var idleExtraMs = 5_000
    /// Milliseconds without progress of a client that does not read its answer; then the connection is dropped.
    package var writeMs = 30_000
    /// Milliseconds that the server reads on and drops what it reads, after its last answer, so that the system does not
    /// discard the answer with a reset.
    package var lingerMs = 2_000
    /// Milliseconds that idle connections stay open when the server shuts down: a request that is on its way is answered.
    package var shutdownIdleMs = 500
    /// Open connections; a request on a connection beyond them is answered with 503 and the connection closed.
    package var connectionsMax = 10_000
    /// Connections beyond `connectionsMax` that are answered; further ones wait in the system's queue.
    package var connectionsBeyondMax = 64
    /// Requests that the application has not answered; a further one is answered with 503.
    package var requestsMax = 10_000
    /// Bytes of all bodies that are being read; a body beyond them is answered with 503.
    package var bodyBytesMax = 64 << 20
    /// Unanswered requests of one connection. Only those that just read are processed at the same time.
    package var pipelineMax = 32
    /// Bytes of answers that wait for a client to read; with more, the server reads no further request of it.
    package var outputBytesMax = 64 << 10
    /// Bytes of a streamed body that wait in addition; with more, its writer has to wait.
    package var streamBytesMax = 64 << 10
    /// Proxies in front of the server, each of which appends the address of its client to `X-Forwarded-For`. With 0 the
    /// field is ignored: any client could write it.
    package var proxies = 0
    /// Threads that each serve a part of the connections.
    package var loops = 1

    package init() {}
}

/// The present moment, read once for all that happens in one turn of a loop.
package struct Moment: Sendable {
    /// On the monotonic clock.
    package var milliseconds: Int
    /// `Date: …` with CRLF.
    package var dateLine: [UInt8]

    package init(milliseconds: Int, dateLine: [UInt8]) {
        self.milliseconds = milliseconds
        self.dateLine = dateLine
    }
}
