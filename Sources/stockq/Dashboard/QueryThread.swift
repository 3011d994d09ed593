import Dispatch
import Foundation
import HTTPServer
import StockQueue
import StockQueueLocking
import StockQueuePostgres

/// A thread with a session that answers requests one after the other, so that no thread of the server waits for the
/// database. It connects with the first request, and again with the next one after an error of the connection.
final class QueryThread: Sendable {
    typealias Query = @Sendable (Connection, QueueSchema) throws -> Response

    private struct State {
        var waiting: [(call: Call, query: Query)] = []
        var isStopped = false
    }

    private let settings: ConnectionSettings
    private let schema: QueueSchema
    private let name: String
    private let log: Log
    private let state = Mutex(State())
    private let wake = DispatchSemaphore(value: 0)
    private let hasEnded = DispatchSemaphore(value: 0)

    /// Requests that wait; a further one is answered with 503.
    private static let waitingMax = 32

    init(_ name: String, _ settings: ConnectionSettings, _ schema: QueueSchema, _ log: Log) {
        (self.name, self.settings, self.schema, self.log) = (name, settings, schema, log)
    }

    func start() {
        let thread = Thread { [self] in
            run()
            hasEnded.signal()
        }
        thread.name = name
        thread.start()
    }

    func stop() {
        state.withLock { $0.isStopped = true }
        wake.signal()
        hasEnded.wait()
    }

    /// Answers a request with what the query returns or throws.
    func answer(_ call: Call, _ query: @escaping Query) {
        let isTaken = state.withLock { state in
            guard !state.isStopped, state.waiting.count < Self.waitingMax else { return false }
            state.waiting.append((call, query))
            return true
        }
        guard isTaken else { return call.fail(Self.busy) }
        wake.signal()
    }

    private static let busy = HTTPFailure(
        .serviceUnavailable, "too many requests wait for the database; try again",
        fields: ResponseFields().adding("Retry-After", "2"))

    private func run() {
        var connection: Connection?
        while true {
            wake.wait()
            let (next, isStopped) = state.withLock { state in
                (state.waiting.isEmpty ? nil : state.waiting.removeFirst(), state.isStopped)
            }
            if isStopped {
                next?.call.fail(Self.busy)
                for (call, _) in state.withLock({ $0.waiting }) { call.fail(Self.busy) }
                return
            }
            guard let (call, query) = next else { continue }
            do {
                let open = try connection ?? Connection(settings)
                connection = open
                call.respond(try query(open, schema))
            } catch let error as PostgresError {
                if error.isConnectionFatal || connection?.isInTransaction == true { connection = nil }
                if error.kind != .server { log.write(.warn, "dashboard_call_failed", [("error", error)]) }
                call.fail(DatabaseFailure(error))
            } catch {
                call.fail(error)
            }
        }
    }
}

/// An error of the database as an answer.
struct DatabaseFailure: ResponseError {
    private let error: PostgresError

    init(_ error: PostgresError) { self.error = error }

    func response(_ style: ErrorStyle) -> Response {
        switch (error.kind, error.sqlState) {
        case (.server, .queryCanceled?):
            style(
                HTTPFailure(
                    HTTPStatus(504), "the search took too long and was stopped; name a store, an item or a shorter time"
                ))
        case (.server, .insufficientPrivilege?):
            style(
                HTTPFailure(
                    .forbidden, "the dashboard's database role may not do this: \(ErrorText.explain(error))"))
        case (.server, _): style(HTTPFailure(.unprocessable, ErrorText.explain(error)))
        default:
            style(
                HTTPFailure(
                    .serviceUnavailable, "the database is away: \(error)",
                    fields: ResponseFields().adding("Retry-After", "2")))
        }
    }
}
