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
    var settings = GatewaySettings()
    var workerSettings = WorkerSettings()

    // MARK: before the start

    /// Why the gateway cannot serve, as sentences that say what to do.
    func blockers() throws -> [String] {
        var blockers = try GatewayCheck.blockers(connection, schema)
        if workers > 0 {
            let check = try WorkerStartup(
                connection: connection, schema: schema, settings: workerSettings, stop: StopSignal()
            ).run { _, _ in }
            blockers += check?.blockers ?? []
        }
        do {
            let server = try HTTPServer(endpoints, settings: settings.server, handler: RouteHandler(RouteTable()))
            server.shutDown(graceMs: 0)
            server.wait()
        } catch let error as ListenError {
            blockers.append(error.description)
        }
        return blockers
    }

    // MARK: serving

    /// Serves until a signal.
    func serve(_ options: Monitor.Options) throws -> ExitCode {
        let stop = StopRequest()
        Signals.handle { stop.receive() }
        raiseOpenFiles()
        let monitor = monitor(options)
        try monitor.start()
        defer { monitor.stop() }
        guard try waitForDatabase(stop.signal, monitor.health) else { return .success }
        var executorSettings = settings.executor
        executorSettings.hasWorkers = workers > 0
        let hints = StrandHints()
        let executor = GatewayExecutor(
            connection: executorConnection, schema: schema, settings: executorSettings,
            vendorSettings: settings.vendors,
            onEvent: { [log] in
                monitor.record($0)
                log.write($0)
            }, onEnqueued: { hints.name($0) },
            offerCalls: { hints.offer($0) })
        monitor.connections.expect(executor.serviceNames)
        let pool = workers > 0 ? startWorkers(executor, stop, monitor) : nil
        hints.pool = pool?.pool
        executor.start()
        let server: HTTPServer
        do {
            server = try HTTPServer(
                endpoints, settings: settings.server, handler: RouteHandler(routes(executor, monitor)))
        } catch {
            executor.stop()
            pool?.finish()
            throw error
        }
        for address in server.addresses { log.write(.info, "listening", [("address", address)]) }
        monitor.registry.add { server.statistics }
        monitor.health.watch(databaseIsAway: { executor.isAway })
        monitor.isRunning()
        stop.wait()
        log.write(.info, "stopping")
        monitor.isStopping()
        // The workers stop last: they decide the jobs of the calls that are under way.
        server.shutDown(graceMs: settings.shutdownTimeout.milliseconds)
        server.wait()
        executor.stop()
        pool?.finish()
        log.write(.info, "stopped")
        return stop.isFailure ? .failure : .success
    }

    /// Waits for a database that is not reachable yet, and checks it.
    ///
    /// - Returns: false if the stop signal came first.
    private func waitForDatabase(_ stop: StopSignal, _ health: ProcessHealth) throws -> Bool {
        var nextWarning: Deadline?
        func warn(_ error: PostgresError) {
            health.isWaiting(for: error.description)
            if nextWarning?.hasPassed == false { return }
            log.write(.warn, "waiting_for_database", [("error", error)])
            nextWarning = .after(milliseconds: 5_000)
        }

        if workers > 0 {
            let startup = WorkerStartup(connection: connection, schema: schema, settings: workerSettings, stop: stop)
            let check = try startup.run { error, _ in warn(error) }
            guard let check else { return false }
            for warning in check.warnings { log.write(.warn, "warning", [("text", warning)]) }
            try Self.require(check.blockers)
        }
        let deadline = Deadline.after(milliseconds: workerSettings.startTimeout.milliseconds)
        while !stop.isFinishing {
            do {
                try Self.require(try GatewayCheck.blockers(connection, schema))
                return true
            } catch let error as PostgresError where error.isTransient && !deadline.hasPassed {
                warn(error)
                _ = stop.wait(milliseconds: workerSettings.reconnectPauseMax.milliseconds)
            }
        }
        return false
    }

    /// Each connection is an open file. The limit that a process may raise itself is mostly far above the one it has.
    private func raiseOpenFiles() {
        let needed = rlim_t(settings.connectionsMax + 100)
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0, limit.rlim_cur < needed else {
            return
        }
        limit.rlim_cur = min(needed, limit.rlim_max)
        if setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0, limit.rlim_cur >= needed { return }
        log.write(
            .warn, "warning",
            [("text", "connectionsMax=\(settings.connectionsMax) needs \(needed) open files; raise ulimit -n")])
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

    /// A gateway without workers has a role that cannot read the queue.
    private func monitor(_ options: Monitor.Options) -> Monitor {
        let source = Monitor.Source(connection: connection, schema: schema, settings: workerSettings)
        let monitor = Monitor(
            options, log, source: workers > 0 ? source : nil, callTimeout: workerSettings.callTimeout)
        if workers > 0 { monitor.connections.expect(Monitor.services(of: workerSettings)) }
        return monitor
    }

    private func routes(_ executor: GatewayExecutor, _ monitor: Monitor) -> RouteTable {
        var routes = RouteTable()
        routes.cors = CORSPolicy(origins: .any)
        routes.setErrorStyle(under: "/", SharedError.style)
        routes.onBurstEnded = { executor.burstEnded() }
        routes.add(EcwidAPI(settings.vendors), executor)
        routes.add(ProspernaAPI(settings.vendors), executor)
        routes.add(ElasticPathAPI(settings.vendors), executor)
        routes.add(NativeAPI(settings.vendors), executor)
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
        monitor.watch(&routes)
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

    /// Names strands to the pool, which is made after the executor that names them.
    private final class StrandHints: Sendable {
        private let state = Mutex<WorkerPool?>(nil)

        var pool: WorkerPool? {
            get { state.withLock { $0 } }
            set { state.withLock { $0 = newValue } }
        }

        func name(_ strands: Set<Strand>) { pool?.enqueued(in: strands) }

        func offer(_ offer: ImmediateOffer) -> Bool { pool?.offer(offer) ?? false }
    }

    private func startWorkers(_ executor: GatewayExecutor, _ stop: StopRequest, _ monitor: Monitor) -> Workers {
        let settings = workerSettings
        let pool = WorkerPool(
            connection: connection, schema: schema, settings: settings,
            onEvent: { [log] event in
                if case .integrityViolation = event, settings.stopOnViolation { stop.fail() }
                monitor.record(event)
                switch event {
                // The process says so for all its parts.
                case .stopping, .stopped: break
                default: log.write(event)
                }
            }, onFinished: { executor.take($0) })
        monitor.health.watch { pool.status }
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
    let signal = StopSignal()

    /// A second signal does not wait for the answers under way.
    func receive() {
        let number = state.withLock { state in
            state.signals += 1
            return state.signals
        }
        if number > 1 { exit(ExitCode.failure.rawValue) }
        request()
    }

    func request() { signal.finish() }

    func fail() { state.withLock { $0.isFailure = true } }

    var isFailure: Bool { state.withLock { $0.isFailure } }

    func wait() { while !signal.wait(milliseconds: 1_000_000) {} }
}

extension Log {
    /// Writes an event of the gateway. No token is ever part of one.
    func write(_ event: GatewayEvent) {
        switch event {
        case .connected(let service): write(.debug, "connected", [("service", service)])
        case .disconnected(let service, let error, let retryMs):
            writeDisconnected(service, error, retryMs: retryMs)
        case .failed(let service, let error, let requestID):
            let request = requestID.map { [("request_id", $0 as any CustomStringConvertible)] } ?? []
            write(.error, "call_failed", [("service", service), ("error", error)] + request)
        }
    }
}
