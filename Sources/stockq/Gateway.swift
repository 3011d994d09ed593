import CommandLineKit
import Dispatch
import Foundation
import HTTPServer
import StockGateway
import StockGatewayExecution
import StockQueue
import StockQueueLocking
import StockQueuePostgres

/// The gateway as a process: the HTTP server, the executor of its calls, and workers.
struct Gateway {
    var connection: ConnectionSettings
    var schema: QueueSchema
    var log: Log
    var endpoints: [Endpoint] = []
    var workers = 2
    var vendorSettings = VendorSettings()
    var requestsPerMinute = ExecutorSettings().requestsPerMinute

    /// Milliseconds that a stop waits for the answers that are under way.
    private static let graceMs = 10_000

    // MARK: before the start

    /// Why the gateway cannot serve, as sentences that say what to do.
    func blockers() throws -> [String] {
        var blockers = try GatewayCheck.blockers(connection, schema)
        if workers > 0 {
            let check = try WorkerStartup(
                connection: connection, schema: schema, settings: try workerSettings(), stop: StopSignal()
            ).run { _, _ in }
            blockers += check?.blockers ?? []
        }
        do {
            let server = try HTTPServer(endpoints, settings: ServerSettings(), handler: RouteHandler(RouteTable()))
            server.shutDown(graceMs: 0)
            server.wait()
        } catch let error as ListenError {
            blockers.append(error.description)
        }
        return blockers
    }

    private func workerSettings() throws -> WorkerSettings {
        var settings = WorkerSettings()
        do throws(ValidationError) {
            try settings.apply(environment: ProcessInfo.processInfo.environment)
        } catch {
            throw Failure(error.message)
        }
        if workers > 0 { settings.workers = workers }
        return settings
    }

    // MARK: serving

    /// Serves until a signal.
    func serve() throws -> ExitCode {
        let stop = StopRequest()
        Signals.handle { stop.receive() }
        try waitForDatabase()
        var settings = ExecutorSettings()
        settings.hasWorkers = workers > 0
        settings.requestsPerMinute = requestsPerMinute
        let executor = GatewayExecutor(
            connection: executorConnection, schema: schema, settings: settings, vendorSettings: vendorSettings,
            onEvent: { [log] in log.write($0) })
        let pool = try workers > 0 ? startWorkers(executor, stop) : nil
        executor.start()
        let server: HTTPServer
        do {
            server = try HTTPServer(endpoints, settings: ServerSettings(), handler: RouteHandler(routes(executor)))
        } catch {
            executor.stop()
            pool?.finish()
            throw error
        }
        for address in server.addresses { log.write(.info, "listening", [("address", address)]) }
        stop.wait()
        log.write(.info, "stopping")
        // The workers stop last: they decide the jobs of the calls that are under way.
        server.shutDown(graceMs: Self.graceMs)
        server.wait()
        executor.stop()
        pool?.finish()
        log.write(.info, "stopped")
        return stop.isFailure ? .failure : .success
    }

    private func waitForDatabase() throws {
        let startup = WorkerStartup(
            connection: connection, schema: schema, settings: try workerSettings(), stop: StopSignal())
        if workers > 0 {
            let check = try startup.run { [log] error, _ in
                log.write(.warn, "waiting_for_database", [("error", error)])
            }
            for warning in check?.warnings ?? [] { log.write(.warn, "warning", [("text", warning)]) }
            try Self.require(check?.blockers ?? [])
        }
        try Self.require(try GatewayCheck.blockers(connection, schema))
    }

    private static func require(_ blockers: [String]) throws {
        if blockers.isEmpty { return }
        throw Failure("cannot serve here: " + blockers.joined(separator: "\n  and: "))
    }

    private var executorConnection: ConnectionSettings {
        var settings = connection
        settings.connectTimeout = .seconds(2)
        settings.callTimeout = .seconds(10)
        return settings
    }

    private func routes(_ executor: GatewayExecutor) -> RouteTable {
        var routes = RouteTable()
        routes.cors = CORSPolicy(origins: .any)
        routes.add(EcwidAPI(vendorSettings), executor)
        routes.add(ProspernaAPI(vendorSettings), executor)
        routes.add(ElasticPathAPI(vendorSettings), executor)
        routes.add(NativeAPI(vendorSettings), executor)
        routes.onAnswer = { [log] response, head in
            guard let id = RequestID.complete(&response, head) else { return }
            log.write(
                response.status.code < 500 ? .debug : .warn, "request",
                [
                    ("request_id", id), ("method", head.method), ("path", String(decoding: head.path, as: UTF8.self)),
                    ("status", response.status),
                ])
        }
        routes.add(.get, "/healthz") { call in
            call.respond(
                executor.isAway ? .text(.serviceUnavailable, "the database is away") : .text(.ok, "ok"))
        }
        return routes
    }

    // MARK: workers

    /// Workers in threads of this process.
    private final class Workers: Sendable {
        let pool: WorkerPool
        private let hasEnded = DispatchSemaphore(value: 0)

        init(_ pool: WorkerPool, onEnd: @escaping @Sendable () -> Void) {
            self.pool = pool
            let thread = Thread { [hasEnded] in
                pool.run()
                hasEnded.signal()
                onEnd()
            }
            thread.name = "workers"
            thread.start()
        }

        func finish() {
            pool.finish()
            hasEnded.wait()
        }
    }

    private func startWorkers(_ executor: GatewayExecutor, _ stop: StopRequest) throws -> Workers {
        let settings = try workerSettings()
        let pool = WorkerPool(
            connection: connection, schema: schema, settings: settings,
            onEvent: { [log] event in
                if case .batch = event { executor.workersCommitted() }
                if case .integrityViolation = event, settings.stopOnViolation { stop.fail() }
                switch event {
                // The process says so for all its parts.
                case .stopping, .stopped: break
                default: log.write(event)
                }
            })
        return Workers(pool, onEnd: { stop.request() })
    }
}

/// Ends the process: a signal, or workers that ended by themselves.
final class StopRequest: Sendable {
    private struct State {
        var signals = 0
        var isFailure = false
    }

    private let state = Mutex(State())
    private let isRequested = DispatchSemaphore(value: 0)

    /// A second signal does not wait for the answers under way.
    func receive() {
        let number = state.withLock { state in
            state.signals += 1
            return state.signals
        }
        if number > 1 { exit(ExitCode.failure.rawValue) }
        request()
    }

    func request() { isRequested.signal() }

    func fail() { state.withLock { $0.isFailure = true } }

    var isFailure: Bool { state.withLock { $0.isFailure } }

    func wait() { isRequested.wait() }
}

extension Log {
    /// Writes an event of the gateway. No token is ever part of one.
    func write(_ event: GatewayEvent) {
        switch event {
        case .connected(let service): write(.debug, "connected", [("service", service)])
        case .disconnected(let service, let error, let retryMs):
            write(.warn, "disconnected", [("service", service), ("error", error), ("retry_in_ms", retryMs)])
        case .failed(let service, let error, let requestID):
            let request = requestID.map { [("request_id", $0 as any CustomStringConvertible)] } ?? []
            write(.error, "call_failed", [("service", service), ("error", error)] + request)
        }
    }
}
