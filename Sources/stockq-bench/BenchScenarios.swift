import CommandLineKit
import Foundation
import PrivateCluster
import StockQueue
import StockQueueLocking
import StockQueuePostgres

/// The scenarios other than the drains: producers beside workers, latency, idling, memory.
struct BenchScenarios {
    let rig: BenchRig
    /// 1, or less to see only whether the bench itself works.
    let scale: Double

    func scaled(_ count: Int) -> Int { max(100, Int(Double(count) * scale)) }

    private var span: Double { max(2, 10 * scale) }

    // MARK: producers and workers together

    /// Four producers that insert 100 rows a commit, paced, beside two workers.
    ///
    /// - Returns: the rate of finished jobs, and how much longer the queue was at the end than halfway.
    func steady(rate: Int) throws -> (rate: Double, growth: Int64) {
        try rig.withCopy(of: .singles(0)) { database in
            try rig.withPool(database) { meter in
                let enqueued = Mutex(0)
                let start = DispatchTime.now()
                let producers = startProducers(database, rate: rate, start: start) { rows in
                    enqueued.withLock { $0 += rows }
                }
                Self.sleep(until: start + span / 2)
                let halfway = enqueued.withLock { $0 } - meter.totals.finished
                try producers.wait()
                let seconds = Double(DispatchTime.now().uptimeNanoseconds - start.uptimeNanoseconds) / 1e9
                let finished = meter.totals.finished
                let total = enqueued.withLock { $0 }
                try Self.waitUntil("the queue is empty") { meter.totals.finished >= total }
                try rig.verify(database)
                return (Double(finished) / seconds, Int64(total - finished - halfway))
            }
        }
    }

    /// Four threads that each insert 100 rows a commit, together `rate` rows a second.
    private func startProducers(
        _ database: BenchRig.Database, rate: Int, start: DispatchTime, onCommit: @escaping @Sendable (Int) -> Void
    ) -> Parallel.Running {
        let rowsPerCommit = 100
        let producers = 4
        let commits = Int(span * Double(rate) / Double(rowsPerCommit * producers))
        return Parallel.start("a producer", threads: producers) { producer in
            let connection = try database.connect()
            for number in 0..<commits {
                Self.sleep(until: start + Double(number * rowsPerCommit * producers) / Double(rate))
                var parameters = Parameters()
                parameters.add(Int64(producer * 7919 + number * 104_729))
                try connection.execute(Self.insertHundred, parameters)
                onCommit(rowsPerCommit)
            }
        }
    }

    private static let insertHundred = Statement(
        "insert_hundred", [.int8],
        """
        INSERT INTO stockq.jobs (store_id, item_id, quantity, reference)
        SELECT 'store-' || item % 16, 'item-' || item, -1, 'order ' || item
        FROM (SELECT (number * 7907 + $1) % 10000 AS item FROM generate_series(1, 100) AS number) AS sale
        """)

    /// `stockq import` of a CSV file into an empty queue, as a process.
    func importRate(rows: Int) throws -> (rate: Double, residentKiB: Double) {
        let file = NSTemporaryDirectory() + "stockq-bench-\(UUID().uuidString).csv"
        defer { try? FileManager.default.removeItem(atPath: file) }
        var text = "store_id,item_id,quantity,reference\n"
        for number in 0..<rows {
            let item = number &* 7907 % 10_000
            text += "store-\(item % 16),item-\(item),-1,order \(number)\n"
        }
        try Data(text.utf8).write(to: URL(fileURLWithPath: file))
        text = ""
        return try rig.withCopy(of: .singles(0)) { database in
            let report = try StockqProcess.run(["import", file, "--json", "--database-url", database.url])
            guard let seconds = report["seconds"], let resident = report["peak_rss_kib"] else {
                throw Failure("stockq import printed no figures")
            }
            return (Double(rows) / seconds, resident)
        }
    }

    // MARK: latency

    /// Jobs one by one at an even pace; for each, the milliseconds from the producer's commit to the result's, by the
    /// server's own commit timestamps.
    func latencies(perSecond: Int, seconds: Double) throws -> [Double] {
        try rig.withCopy(of: .singles(0)) { database in
            try rig.withPool(database) { meter in
                let connection = try database.connect()
                let count = Int(seconds * Double(perSecond))
                let start = DispatchTime.now()
                for number in 0..<count {
                    Self.sleep(until: start + Double(number) / Double(perSecond))
                    try Self.enqueueTimed(connection, item: number)
                }
                try Self.waitUntil("all jobs are done") { meter.totals.finished >= count }
                try rig.verify(database)
                return try Self.timedLatencies(connection)
            }
        }
    }

    /// `stockq run` without jobs: transactions a second and share of a core, then the first job's latency in ms.
    func idle(seconds: Double) throws -> (transactionsPerSecond: Double, coreShare: Double, firstJobMs: Double) {
        try rig.withCopy(of: .singles(0)) { database in
            try StockqProcess.running(["run", "--database-url", database.url]) { process in
                let connection = try database.connect()
                pause(milliseconds: 3_000)  // until its workers sleep
                let before = try Self.transactions(connection)
                let cpuBefore = StockqProcess.cpuSeconds(of: process)
                let server = ServerCPU(rig.cluster)
                pause(milliseconds: Int(seconds * 1_000))
                let transactions = Double(try Self.transactions(connection) - before) / seconds
                let share = (StockqProcess.cpuSeconds(of: process) - cpuBefore + server.since()) / seconds
                try Self.enqueueTimed(connection, item: 1)
                try Self.waitUntil("the job is done") {
                    try connection.execute(Self.countResults).int64(0, 0) == 1
                }
                try rig.verify(database)
                return (transactions, share, try Self.timedLatencies(connection)[0])
            }
        }
    }

    private static let countResults = Statement("count_results", [], "SELECT count(*) FROM stockq.results")

    /// Transactions of all sessions of the database, this query among them.
    private static func transactions(_ connection: Connection) throws -> Int64 {
        // A session reports its counts after a moment of idling, at the latest with its next statement.
        try connection.execute(
            Statement(
                "transactions", [],
                "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()")
        ).int64(0, 0)
    }

    private static let enqueue = Statement(
        "enqueue_timed", [.text, .text],
        """
        INSERT INTO stockq.jobs (store_id, item_id, quantity, reference)
        VALUES ($1, $2, -1, pg_current_xact_id()::text)
        """)

    private static func enqueueTimed(_ connection: Connection, item: Int) throws {
        var parameters = Parameters()
        parameters.add("store-\(item % 10_000 % 16)")
        parameters.add("item-\(item % 10_000)")
        try connection.execute(enqueue, parameters)
    }

    /// The milliseconds from commit to result of the timed jobs with a higher id, in ascending order.
    private static func timedLatencies(_ connection: Connection, after job: Int64 = 0) throws -> [Double] {
        var parameters = Parameters()
        parameters.add(job)
        let rows = try connection.execute(
            Statement(
                "latencies", [.int8],
                """
                SELECT (extract(epoch FROM pg_xact_commit_timestamp(xmin) - pg_xact_commit_timestamp(reference::xid8::xid))
                    * 1000000)::bigint
                FROM stockq.results
                WHERE job_id > $1
                ORDER BY 1
                """), parameters)
        return (0..<rows.rowCount).map { Double(rows.int64($0, 0)) / 1_000 }
    }

    // MARK: many producers

    /// Commits a second of 64 producers with one row each, beside a worker process.
    ///
    /// - Parameter wakesWorkers: whether inserts send a wake-up; without it the trigger is dropped.
    func commits(wakesWorkers: Bool) throws -> Double {
        try rig.withCopy(of: .singles(0)) { database in
            if !wakesWorkers { try database.run("DROP TRIGGER send_wakeup ON stockq.jobs") }
            let script = NSTemporaryDirectory() + "stockq-bench-\(UUID().uuidString).sql"
            defer { try? FileManager.default.removeItem(atPath: script) }
            try Data(
                """
                \\set item random(0, 9999)
                INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('store-' || :item % 16, 'item-' || :item, -1);

                """.utf8
            ).write(to: URL(fileURLWithPath: script))
            return try StockqProcess.running(["run", "--database-url", database.url]) { _ in
                let text = try StockqProcess.output(
                    of: rig.cluster.programFolder + "/pgbench",
                    [
                        "-n", "-M", "prepared", "-c", "64", "-j", "2", "-T", "\(Int(max(2, 6 * scale)))", "-f", script,
                        database.url,
                    ])
                guard let match = text.firstMatch(of: /tps = ([0-9.]+)/), let rate = Double(match.output.1) else {
                    throw Failure("pgbench printed no rate: \(text.suffix(500))")
                }
                try rig.verify(database)
                return rate
            }
        }
    }

    // MARK: vacuum held back

    /// Rounds of jobs while a transaction with a snapshot and an id stays open, so that vacuum cannot remove their
    /// rows.
    ///
    /// - Returns: the rate of each round.
    func heldBack(rounds: Int) throws -> [Double] {
        try rig.withCopy(of: .singles(0)) { database in
            let snapshot = try database.connect()
            try snapshot.executeScript("BEGIN ISOLATION LEVEL REPEATABLE READ")
            try snapshot.executeScript("SELECT pg_current_xact_id(), count(*) FROM stockq.items")
            let jobs = scaled(100_000)
            let rates = try rig.withPool(database) { meter in
                var rates: [Double] = []
                for round in 1...rounds {
                    try database.run(Workload.insertSingles(jobs))
                    let start = DispatchTime.now().uptimeNanoseconds
                    try Self.waitUntil("round \(round) is done") { meter.totals.finished >= round * jobs }
                    rates.append(Double(jobs) / (Double(meter.totals.lastAt - start) / 1e9))
                }
                return rates
            }
            try snapshot.executeScript("ROLLBACK")
            try rig.verify(database)
            return rates
        }
    }

    /// Rounds of jobs, and of single jobs at an even pace, while a producer's transaction that has enqueued a job stays
    /// open.
    ///
    /// - Returns: for each round the rate of the jobs, and the median latency of the single ones.
    func openTransaction(rounds: Int) throws -> [(rate: Double, latencyMs: Double)] {
        try rig.withCopy(of: .singles(0)) { database in
            let producer = try database.connect()
            try producer.executeScript("BEGIN")
            try producer.executeScript(
                "INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('store-0', 'item-0', -1)")
            let connection = try database.connect()
            let jobs = scaled(100_000)
            let singles = max(20, scaled(400))
            let measured = try rig.withPool(database) { meter in
                var measured: [(rate: Double, latencyMs: Double)] = []
                for round in 1...rounds {
                    try database.run(Workload.insertSingles(jobs))
                    let start = DispatchTime.now()
                    var expected = (round - 1) * (jobs + singles) + jobs
                    try Self.waitUntil("round \(round) is done") { meter.totals.finished >= expected }
                    let seconds = Double(meter.totals.lastAt - start.uptimeNanoseconds) / 1e9
                    let firstSingle = try Self.lastJob(connection)
                    let singlesStart = DispatchTime.now()
                    for number in 0..<singles {
                        Self.sleep(until: singlesStart + Double(number) / 200)
                        try Self.enqueueTimed(connection, item: number)
                    }
                    expected += singles
                    try Self.waitUntil("the single jobs are done") { meter.totals.finished >= expected }
                    let latencies = try Self.timedLatencies(connection, after: firstSingle)
                    measured.append((Double(jobs) / seconds, latencies[latencies.count / 2]))
                }
                return measured
            }
            try producer.executeScript("COMMIT")
            _ = try rig.drain(database)
            try rig.verify(database)
            return measured
        }
    }

    private static func lastJob(_ connection: Connection) throws -> Int64 {
        try connection.execute(Statement("last_job", [], "SELECT last_value FROM stockq.jobs_job_id_seq")).int64(0, 0)
    }

    // MARK: memory

    /// Resident KiB of `stockq run` with four workers and batches of 10,000: after a fifth of the jobs, and the peak.
    func memory(jobs: Int) throws -> (early: Double, peak: Double) {
        try rig.withCopy(of: .singles(jobs)) { database in
            var early = 0
            let connection = try database.connect()
            let deleted = Statement(
                "deleted", [], "SELECT n_tup_del FROM pg_stat_user_tables WHERE relname = 'jobs'")
            let report = try StockqProcess.run(
                ["run", "--drain", "--json", "--workers", "4", "--batch-max", "10000", "--database-url", database.url],
                beside: { process in
                    // Counting results would change what is measured; the statistics are close enough.
                    while process.isRunning {
                        pause(milliseconds: 50)
                        if try connection.execute(deleted).int64(0, 0) > Int64(jobs / 5) {
                            early = ProcessUsage.memoryKiB("VmRSS", ofProcess: String(process.processIdentifier))
                            return
                        }
                    }
                })
            guard let peak = report["peak_rss_kib"] else { throw Failure("stockq run printed no figures") }
            try rig.verify(database)
            return (Double(early), peak)
        }
    }

    // MARK: time

    private static func sleep(until time: DispatchTime) {
        let now = DispatchTime.now()
        if time > now { pause(milliseconds: Int((time.uptimeNanoseconds - now.uptimeNanoseconds) / 1_000_000)) }
    }

    /// Checks every 2 ms; gives up after ten minutes.
    static func waitUntil(_ what: String, _ condition: () throws -> Bool) throws {
        let deadline = Deadline.after(milliseconds: 600_000)
        while try !condition() {
            if deadline.hasPassed { throw Failure("waited ten minutes until \(what)") }
            pause(milliseconds: 2)
        }
    }
}
