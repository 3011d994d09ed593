import CommandLineKit
import Dispatch
import Foundation
import HTTPServer
import Metrics
import StockGatewayExecution
import StockQueue
import StockQueueLocking
import StockQueuePostgres

/// What a process shows of itself while it runs: metrics and health over HTTP, a line in the log at intervals, and its
/// state for systemd.
///
/// One thread does what takes time: it reads the queue, over a session of its own, and answers scrapes. Health is answered
/// by the server's thread, from what is in memory.
final class Monitor: Sendable {
    /// What the command line says.
    struct Options {
        /// Where to listen; nil for nowhere.
        var endpoint: Endpoint?
        /// Between two lines of the log; zero for none.
        var logInterval: Duration
    }

    /// Where the queue is read.
    struct Source: Sendable {
        var connection: ConnectionSettings
        var schema: QueueSchema
        var settings: WorkerSettings
    }

    let health: ProcessHealth
    let registry = MetricsRegistry()
    let connections: ConnectionMetrics
    let manager = ServiceManager()
    private let work: WorkMetrics
    private let gateway = Mutex<GatewayMetrics?>(nil)
    private let log: Log
    private let options: Options
    private let source: Source?
    private let server = Mutex<HTTPServer?>(nil)
    private let reading = Mutex<QueueReading?>(nil)
    private let scrapes = Mutex<[Call]>([])
    private let wake = DispatchSemaphore(value: 0)
    private let stopSignal = StopSignal()
    private let hasEnded = DispatchSemaphore(value: 0)

    /// - Parameter source: nil for a process whose role cannot read the queue.
    init(_ options: Options, _ log: Log, source: Source?, callTimeout: Duration) {
        self.options = options
        self.log = log
        self.source = source
        health = ProcessHealth(callTimeout: callTimeout)
        connections = ConnectionMetrics(registry)
        work = WorkMetrics(registry, connections)
        registry.addServices { [health] in health.statuses }
        if source != nil { registry.addQueue { [weak self] in self?.reading.withLock { $0 } } }
        registry.addProcess()
    }

    /// The services of a worker process.
    static func services(of settings: WorkerSettings) -> [String] {
        ["worker", "poller", "maintenance"] + (settings.hasExpressWorker ? ["express worker"] : [])
            + (settings.deliver ? ["deliverer"] : [])
            + (settings.checkInterval > .zero ? ["ledger checker"] : [])
    }

    // MARK: the process

    /// Starts to listen and to watch.
    ///
    /// - Throws: `ListenError`.
    func start() throws {
        if let endpoint = options.endpoint { try listen(on: endpoint) }
        startWatchdog()
        let thread = Thread { [self] in
            run()
            hasEnded.signal()
        }
        thread.name = "monitor"
        thread.start()
    }

    /// The process works from here on.
    func isRunning() {
        health.isRunning()
        manager.ready()
    }

    func isStopping() {
        if health.isStopping() { manager.stopping() }
    }

    /// Ends the thread and the server.
    func stop() {
        isStopping()
        stopSignal.finish()
        wake.signal()
        hasEnded.wait()
        guard let server = server.withLock({ $0 }) else { return }
        server.shutDown(graceMs: 100)
        server.wait()
    }

    func record(_ event: WorkEvent) { work.record(event) }

    func record(_ event: GatewayEvent) { gateway.withLock { $0 }?.record(event, connections) }

    /// Counts the requests to the routes of a table.
    func watch(_ table: inout RouteTable) {
        let metrics = GatewayMetrics(registry, table)
        gateway.withLock { $0 = metrics }
        table.onAnswered = { metrics.record($0) }
    }

    /// On a thread of its own: the monitor may wait for the database.
    private func startWatchdog() {
        guard let interval = manager.watchdogInterval else { return }
        let thread = Thread { [health, manager, stopSignal] in
            repeat {
                if health.liveness().allSatisfy({ $0.problem == nil }) { manager.alive() }
            } while !stopSignal.wait(milliseconds: max(1, interval.milliseconds / 2))
        }
        thread.name = "watchdog"
        thread.start()
    }

    // MARK: HTTP

    private func listen(on endpoint: Endpoint) throws {
        var settings = ServerSettings()
        (settings.connectionsMax, settings.requestsMax, settings.pipelineMax) = (64, 64, 4)
        let made = try HTTPServer([endpoint], settings: settings, handler: RouteHandler(routes()))
        for address in made.addresses { log.write(.info, "metrics_listening", [("address", address)]) }
        server.withLock { $0 = made }
    }

    private func routes() -> RouteTable {
        var routes = RouteTable()
        routes.add(.get, "/") { $0.respond(.text(.ok, "/metrics\n/livez\n/readyz\n/startupz")) }
        routes.add(.get, "/livez") { [health] in $0.respond(ProcessHealth.response(health.liveness())) }
        routes.add(.get, "/readyz") { [health] in $0.respond(ProcessHealth.response(health.readiness())) }
        routes.add(.get, "/startupz") { [health] in $0.respond(ProcessHealth.response(health.startup())) }
        routes.add(.get, "/metrics") { [weak self] in self?.scrape($0) }
        return routes
    }

    private func scrape(_ call: Call) {
        scrapes.withLock { $0.append(call) }
        wake.signal()
    }

    private func answer(_ call: Call) {
        let format = ExpositionFormat(accept: call.request.head.fields(named: "accept").joined(separator: ","))
        call.respond(
            Response(
                .ok, fields: ResponseFields().adding("Content-Type", format.contentType).adding("Vary", "Accept"),
                body: registry.exposition(format)))
    }

    // MARK: the thread

    private func run() {
        let reader = source.map { QueueReader(connection: $0.connection, schema: $0.schema, settings: $0.settings) }
        var line = ProgressLog(log, manager, interval: options.logInterval)
        while !stopSignal.isFinishing {
            _ = wake.wait(timeout: .now() + .milliseconds(line.remainingMs))
            let calls = scrapes.withLock { calls in
                let waiting = calls
                calls = []
                return waiting
            }
            let isDue = line.isDue
            if calls.isEmpty && !isDue { continue }
            // Before the start-up checks the schema may be another version's.
            let canRead = health.startup().allSatisfy { $0.problem == nil }
            let now = canRead ? reader?.read() : nil
            if let error = reader?.error { log.write(.debug, "queue_not_read", [("error", error)]) }
            reading.withLock { $0 = now }
            for call in calls { answer(call) }
            if isDue { line.write(work.totals, gateway.withLock { $0 }?.totals, now) }
        }
    }
}
