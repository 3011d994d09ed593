import StockQueuePostgres

/// The limits and times of the executor.
package struct ExecutorSettings: Sendable, Hashable {
    /// Calls that change stock and are not answered; a further one is answered at once.
    package var callsMax = 10_000
    /// Calls that only read and are not answered.
    package var lookupsMax = 1_000
    /// Calls that are enqueued by one transaction.
    package var callsPerCommitMax = 1_000
    /// Milliseconds that queued calls wait for others while workers decide at least as many.
    package var gatherMsMax = 4
    /// Milliseconds between two polls for results, at most. With workers in this process only calls that wait longer
    /// than that are asked for.
    package var pollMsMax = 50
    /// Milliseconds that a call may still take when its client has closed its side of the connection.
    package var closedMs = 1_000
    /// Milliseconds that calls under way may still take when the gateway shuts down.
    package var shutdownMs = 1_000
    /// Seconds in which a repeated request with the same id gets the first answer.
    package var repeatSeconds = 180
    /// Requests whose answers are kept for that.
    package var repeatsMax = 100_000
    /// Seconds that a token of a client is valid.
    package var tokenSeconds = 3_600
    /// Connections that read.
    package var lookupThreads = 2
    /// Movements of an item that its history shows, at most.
    package var movementsMax = 10_000
    /// Clients that follow notifications.
    package var streamsMax = 1_000
    /// Milliseconds between two polls for notifications.
    package var notificationPollMs = 250
    /// Seconds after which a stream without a notification sends something, so that proxies keep it open.
    package var heartbeatSeconds = 15
    /// Requests of the native API that one token can make in a minute.
    package var requestsPerMinute = 600_000
    /// Workers run in this process and hand over what they have decided.
    package var hasWorkers = true
    /// They decide calls without the table of jobs where they can.
    package var decidesAtOnce = true

    package init() {}
}

/// What happens in the executor, for the log.
package enum GatewayEvent: Sendable {
    case connected(service: String)
    case disconnected(service: String, PostgresError, retryMs: Int)
    /// A statement failed for a reason that is neither a caller's nor a lost connection.
    case failed(service: String, PostgresError, requestID: String?)
}

package typealias GatewayEventHandler = @Sendable (GatewayEvent) -> Void
