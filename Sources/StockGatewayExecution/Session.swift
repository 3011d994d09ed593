import StockQueue
import StockQueuePostgres

/// The connection of one thread, made anew after it was lost. Not `Sendable`: it never leaves its thread.
final class Session {
    private let name: String
    private let settings: ConnectionSettings
    private let report: GatewayEventHandler
    private var connection: Connection?
    private var backoff = Backoff(firstMs: 20, longestMs: 1_000)
    /// Why the last attempt to connect failed, and when the next one is made.
    private var failure: (error: PostgresError, until: Deadline)?

    init(_ name: String, _ settings: ConnectionSettings, _ report: @escaping GatewayEventHandler) {
        self.name = name
        self.settings = settings
        self.report = report
    }

    /// The connection; while a pause between two attempts lasts, the error of the last attempt.
    func open() throws(PostgresError) -> Connection {
        if let connection { return connection }
        if let failure, !failure.until.hasPassed { throw failure.error }
        do throws(PostgresError) {
            let made = try Connection(settings)
            connection = made
            failure = nil
            backoff.reset()
            report(.connected(service: name))
            return made
        } catch {
            let pauseMs = backoff.next()
            failure = (error, .after(milliseconds: pauseMs))
            report(.disconnected(service: name, error, retryMs: pauseMs))
            throw error
        }
    }

    /// After an error: ends the transaction, or gives up a connection that cannot be used any more.
    func recover(from error: PostgresError) {
        guard let connection else { return }
        if !error.isConnectionFatal {
            do {
                try connection.rollBack()
                return
            } catch {
                // The connection is lost as well, and its server rolls back.
            }
        }
        self.connection = nil
        report(.disconnected(service: name, error, retryMs: 0))
    }

    /// - Parameter requestID: of the request that failed, if it is only one.
    func reportFailure(_ error: PostgresError, requestID: String? = nil) {
        report(.failed(service: name, error, requestID: requestID))
    }
}
