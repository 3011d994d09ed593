import CommandLineKit
import Foundation
import PrivateCluster
import StockQueue
import StockQueuePostgres

/// The demo's steps.
struct Demo {
    let cluster: PrivateCluster
    let workers: Int
    private let connection: Connection
    private let schema = QueueSchema.standard

    init(cluster: PrivateCluster, workers: Int) throws {
        self.cluster = cluster
        self.workers = workers
        let admin = try Connection(ConnectionSettings(conninfo: cluster.conninfo(), applicationName: "stockq demo"))
        try admin.executeScript("CREATE DATABASE demo")
        connection = try Connection(Self.settings(cluster))
        try Migrator(connection: connection, schema: schema).migrate()
    }

    private static func settings(_ cluster: PrivateCluster) -> ConnectionSettings {
        ConnectionSettings(conninfo: cluster.conninfo(database: "demo"), applicationName: "stockq demo")
    }

    /// Imports a catalog and a day's jobs.
    func prepare(lines: Int, seed: UInt64) throws {
        var shop = DemoShop(seed: seed, itemsPerStore: 500)
        let items = try withInput(shop.catalog()) { source in
            var importer = try ItemImport(
                connection: connection, schema: schema, source: source, form: InputForm(), setsStock: false,
                onReject: { error, _ in throw Failure("the catalog: \(error)") })
            return try importer.run()
        }
        let jobs = try withInput(shop.day(lines: lines)) { source in
            var importer = try JobImport(
                connection: connection, schema: schema, source: source, options: JobImport.Options(),
                onReject: { error, _ in throw Failure("the day's jobs: \(error)") })
            return try importer.run()
        }
        Terminal.print(
            """
            A catalog of \(grouped(items.created)) items in 8 stores, and a day's burst of \(grouped(jobs.enqueued)) jobs:
            orders of one to six lines (all or nothing), returns, restocks, breakages.

            """)
    }

    /// Lends a text as a file that is removed afterwards.
    private func withInput<Value>(_ text: String, _ body: (ByteSource) throws -> Value) throws -> Value {
        guard let file = tmpfile() else { throw Failure("no temporary file: \(String(cString: strerror(errno)))") }
        defer { fclose(file) }
        let bytes = Array(text.utf8)
        guard fwrite(bytes, 1, bytes.count, file) == bytes.count, fflush(file) == 0 else {
            throw Failure("cannot write a temporary file: \(String(cString: strerror(errno)))")
        }
        rewind(file)
        return try body(ByteSource(descriptor: fileno(file)))
    }

    /// Runs workers until the queue is empty.
    func work() throws {
        let meter = WorkMeter()
        var settings = WorkerSettings()
        settings.workers = workers
        // Smaller than the default, so that the progress line moves.
        settings.batchJobsMax = 5_000
        let total = try Inspector(connection: connection, schema: schema).statistics(seconds: 1).value.queue.ready
        let log = Log(minimumLevel: .warn)
        let pool = WorkerPool(
            connection: Self.settings(cluster), schema: schema, settings: settings, drains: true,
            onEvent: { event in
                meter.record(event)
                log.write(event)
            })
        let progress = ProgressLine(meter, of: Int(total))
        pool.run()
        let totals = meter.totals
        Terminal.showProgress(ProgressLine.text(totals, of: Int(total)))
        progress.end()
        Terminal.print(
            """
            \(grouped(totals.finished)) jobs in \((totals.seconds * 100).rounded() / 100) s: \
            \(grouped(totals.jobsPerSecond)) jobs/s with \(workers) workers, \
            each job's stock, result and removal in one durable transaction.

            """)
    }

    /// Serves the shop on the loopback interface, in a process of its own.
    func serve() throws -> DemoGateway {
        try DemoGateway(
            url: cluster.url(database: "demo"), connection: connection, schema: schema, folder: cluster.folder)
    }

    /// Prints what the day came to, and verifies it.
    ///
    /// - Returns: whether the ledger is right.
    func report() throws -> Bool {
        let inspector = Inspector(connection: connection, schema: schema)
        let stats = try inspector.statistics(seconds: 86_400).value
        printSection("Outcomes", countLines(stats.outcomes))
        printSection("Why jobs were rejected", countLines(stats.codes))
        printSection("\nA few rejected orders", try inspector.rejected(limit: 4).map { "  " + $0.value.sentence })
        let notifications = try inspector.lastNotifications(limit: 6).map(\.value)
        printSection(
            "\nWhat ran low or out at the end",
            notifications.map {
                "  \($0.kind.rawValue.padding(toWidth: 13))  \($0.itemID) in \($0.storeID): "
                    + "\($0.availableBefore) → \($0.availableAfter) available"
            })
        return try verify()
    }

    private func printSection(_ heading: String, _ lines: [String]) {
        if !lines.isEmpty { Terminal.print(([heading] + lines).joined(separator: "\n")) }
    }

    private func verify() throws -> Bool {
        let verifier = Verifier(connection: connection, schema: schema)
        var violations: [String] = []
        try verifier.runAll { violations += $0.violations }
        if violations.isEmpty {
            Terminal.print(
                "\nVerify: \(verifier.checks.count) checks over every item, result and notification; nothing is wrong.")
        } else {
            Terminal.print("\nVerify: WRONG\n  " + violations.joined(separator: "\n  "))
        }
        return violations.isEmpty
    }
}
