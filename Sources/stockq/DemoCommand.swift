import CommandLineKit
import Foundation
import PrivateCluster
import StockModel
import StockQueue
import StockQueuePostgres

enum DemoCommand: Command {
    static let usage = Usage(
        command: "demo", summary: "Works off a busy day on a PostgreSQL of its own and shows what came out.",
        options: [
            Option("lines", "N", "about how many jobs; default 100000"),
            Option("workers", "N", "worker threads; default 2"),
            Option("seed", "N", "another day; default 1"),
            Option("keep", nil, "leave the server running, to poll around"),
        ],
        usesDatabase: false,
        notes: "Needs the server's programs (Debian: postgresql). Nothing is left running or on disk, unless --keep.")

    static func run(_ arguments: Arguments) throws -> Int32 {
        let lines = try arguments.number("lines", in: 100...10_000_000) ?? 100_000
        let workers = try arguments.number("workers", in: 1...64) ?? 2
        let seed = try arguments.number("seed", in: 0...Int.max) ?? 1
        var options = PrivateCluster.Options()
        options.isKept = arguments.has("keep")
        options.settings = [("shared_buffers", "256MB"), ("max_wal_size", "4GB"), ("synchronous_commit", "on")]
        Terminal.print("Starting a private PostgreSQL …")
        let cluster = try PrivateCluster(name: "stockq-demo", options: options)
        defer { cluster.stop() }
        let demo = try Demo(cluster: cluster, workers: workers)
        try demo.prepare(lines: lines, seed: UInt64(seed))
        try demo.work()
        let isRight = try demo.report()
        tellWhatNext(cluster, isKept: options.isKept)
        return isRight ? 0 : 1
    }

    private static func tellWhatNext(_ cluster: PrivateCluster, isKept: Bool) {
        let program = CommandLine.arguments[0]
        if isKept {
            Terminal.print(
                """

                The server goes on running. Look around:
                  export DATABASE_URL='\(cluster.url(database: "demo"))'
                  \(program) items list --level out
                  \(program) items show berlin shirt-1
                  \(program) stats
                Stop it and remove it with:
                  kill -INT $(head -1 \(cluster.folder)/data/postmaster.pid) && rm -rf \(cluster.folder)
                """)
        } else {
            Terminal.print(
                """

                Try next:
                  \(program) demo --keep                      poll around in what came out
                  \(program) migrate --database-url URL       set up a queue in a database of yours
                  \(program) run --database-url URL           and work it off
                """)
        }
    }
}

/// The demo's steps.
private struct Demo {
    let cluster: PrivateCluster
    let workers: Int
    let connection: Connection
    let schema = QueueSchema.standard

    init(cluster: PrivateCluster, workers: Int) throws {
        self.cluster = cluster
        self.workers = workers
        let admin = try Connection(ConnectionSettings(conninfo: cluster.conninfo(), applicationName: "stockq demo"))
        try admin.executeScript("CREATE DATABASE demo")
        connection = try Connection(
            ConnectionSettings(conninfo: cluster.conninfo(database: "demo"), applicationName: "stockq demo"))
        try Migrator(connection: connection, schema: schema).migrate()
    }

    func prepare(lines: Int, seed: UInt64) throws {
        var shop = DemoShop(seed: seed, itemsPerStore: 500)
        let items = try withInput(shop.catalog()) { source in
            var importer = try ItemImport(
                connection: connection, schema: schema, source: source, format: .csv, setsStock: false,
                onReject: { line, _, reason in throw Failure("catalog line \(line): \(reason)") })
            return try importer.run()
        }
        let jobs = try withInput(shop.day(lines: lines)) { source in
            var importer = try JobImport(
                connection: connection, schema: schema, source: source, options: JobImport.Options(),
                onReject: { line, _, reason in throw Failure("order line \(line): \(reason)") })
            return try importer.run()
        }
        Terminal.print(
            "A catalog of \(grouped(items.created)) items in 8 stores, and a day's burst of \(grouped(jobs.enqueued)) jobs:\n"
                + "orders of one to six lines (all or nothing), returns, restocks, breakages.\n")
    }

    /// Lends a text as a file that is read and then gone.
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

    func work() throws {
        let meter = RunMeter()
        var settings = WorkerSettings()
        settings.workers = workers
        // Smaller than the default, so that there is progress to see.
        settings.batchJobsMax = 5_000
        let total = try Inspector(connection: connection, schema: schema).statistics(seconds: 1).value.queue.ready
        let log = Log(least: .warn)
        let pool = WorkerPool(
            connection: ConnectionSettings(
                conninfo: cluster.conninfo(database: "demo"), applicationName: "stockq demo"),
            schema: schema, settings: settings, drains: true,
            onEvent: { event in
                meter.take(event)
                log.write(event)
            })
        let progress = ProgressLine(meter, of: Int(total))
        pool.run()
        Terminal.showProgress(ProgressLine.bar(meter, Int(total)) + meter.line)
        progress.end()
        let totals = meter.totals
        Terminal.print(
            "\(grouped(totals.finished)) jobs in \((totals.seconds * 100).rounded() / 100) s: "
                + "\(grouped(Int(Double(totals.finished) / max(0.001, totals.seconds)))) jobs/s with \(workers) workers, "
                + "each job's stock, result and removal in one durable transaction.\n")
    }

    /// - Returns: whether the ledger are right.
    func report() throws -> Bool {
        let inspector = Inspector(connection: connection, schema: schema)
        let stats = try inspector.statistics(seconds: 86_400).value
        Terminal.print(
            "Outcomes\n" + StatsCommand.list(stats.outcomes, Outcome.allCases.map(\.rawValue)).joined(separator: "\n"))
        Terminal.print(
            "Why jobs were rejected\n"
                + StatsCommand.list(stats.codes, ResultCode.allCases.map(\.rawValue)).joined(separator: "\n"))
        let blockers = try inspector.refused(limit: 4)
        if !blockers.isEmpty { Terminal.print("\nA few refused orders") }
        for refused in blockers { Terminal.print("  " + ResultCommand.sentence(refused.value)) }
        let told = try inspector.lastNotifications(limit: 6)
        if !told.isEmpty { Terminal.print("\nWhat ran low or out at the end") }
        for told in told {
            Terminal.print(
                "  \(told.value.kind.padding(toWidth: 13))  \(told.value.itemId) in \(told.value.storeId): "
                    + "\(told.value.availableBefore) → \(told.value.availableAfter) available")
        }
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
