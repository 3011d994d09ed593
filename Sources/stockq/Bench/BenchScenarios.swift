import Foundation
import PrivateCluster
import StockQueue
import StockQueueLocking
import StockQueuePostgres

/// The scenarios beyond the drains: what comes in while work goes on, how soon a job is done, what rest costs.
struct BenchScenarios {
    let rig: BenchRig
    /// 1, or less for a poll at whether the bench itself works.
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
                let failure = Mutex<String?>(nil)
                let ended = DispatchGroup()
                let enqueued = Mutex(0)
                let start = DispatchTime.now()
                let rowsACommit = 100
                let producers = 4
                let commits = Int(span * Double(rate) / Double(rowsACommit * producers))
                for producer in 0..<producers {
                    ended.enter()
                    Thread {
                        defer { ended.leave() }
                        do {
                            let connection = try database.connect()
                            for number in 0..<commits {
                                let due = start + Double(number * rowsACommit * producers) / Double(rate)
                                Self.rest(until: due)
                                var parameters = Parameters()
                                parameters.add(Int64(producer * 7919 + number * 104_729))
                                try connection.execute(Self.insertHundred, parameters)
                                enqueued.withLock { $0 += rowsACommit }
                            }
                        } catch {
                            failure.withLock { $0 = "\(error)" }
                        }
                    }.start()
                }
                Self.rest(until: start + span / 2)
                let halfway = enqueued.withLock { $0 } - meter.totals.finished
                ended.wait()
                let seconds = Double(DispatchTime.now().uptimeNanoseconds - start.uptimeNanoseconds) / 1e9
                let finished = meter.totals.finished
                if let failure = failure.withLock({ $0 }) { throw Failure("a producer failed: \(failure)") }
                let total = enqueued.withLock { $0 }
                try Self.waitUntil("the queue is worked off") { meter.totals.finished >= total }
                try rig.verify(database)
                return (Double(finished) / seconds, Int64(total - finished - halfway))
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

    /// `stockq import` of a CSV into an idle queue, as a process of its own.
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
            let report = try Self.runStockq(["import", file, "--json", "--database-url", database.url])
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
                    Self.rest(until: start + Double(number) / Double(perSecond))
                    try Self.enqueueTimed(connection, item: number)
                }
                try Self.waitUntil("all jobs are done") { meter.totals.finished >= count }
                try rig.verify(database)
                return try Self.timedLatencies(connection)
            }
        }
    }

    /// A minute of rest: transactions a second and share of a core of `stockq run`, then the first job's latency in ms.
    func rest(seconds: Double) throws -> (transactionsPerSecond: Double, coreShare: Double, firstJobMs: Double) {
        try rig.withCopy(of: .singles(0)) { database in
            try Self.withStockq(["run", "--database-url", database.url]) { process in
                let connection = try database.connect()
                Self.rest(milliseconds: 3_000)  // until it has started and fallen asleep
                let before = try Self.transactions(connection)
                let cpuBefore = Self.cpuSeconds(of: process)
                let server = ServerCPU(rig.cluster)
                Self.rest(milliseconds: Int(seconds * 1_000))
                let transactions = Double(try Self.transactions(connection) - before) / seconds
                let share = (Self.cpuSeconds(of: process) - cpuBefore + server.since()) / seconds
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

    /// Transactions of all sessions of the database, one of them the asking itself.
    private static func transactions(_ connection: Connection) throws -> Int64 {
        // Sessions report their counts when they have been idle for a moment, at the latest with the next statement.
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

    private static func timedLatencies(_ connection: Connection) throws -> [Double] {
        let rows = try connection.execute(
            Statement(
                "latencies", [],
                """
                SELECT (extract(epoch FROM pg_xact_commit_timestamp(xmin) - pg_xact_commit_timestamp(reference::xid8::xid))
                    * 1000000)::bigint
                FROM stockq.results
                ORDER BY 1
                """))
        return (0..<rows.rowCount).map { Double(rows.int64($0, 0)) / 1_000 }
    }

    // MARK: many producers

    /// Commits a second of 64 producers with one row each, beside a worker process.
    ///
    /// - Parameter rings: false: without the workers_awake's trigger.
    func commits(rings: Bool) throws -> Double {
        try rig.withCopy(of: .singles(0)) { database in
            if !rings { try database.run("DROP TRIGGER send_wakeup ON stockq.jobs") }
            let script = NSTemporaryDirectory() + "stockq-bench-\(UUID().uuidString).sql"
            defer { try? FileManager.default.removeItem(atPath: script) }
            try Data(
                """
                \\set item random(0, 9999)
                INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('store-' || :item % 16, 'item-' || :item, -1);

                """.utf8
            ).write(to: URL(fileURLWithPath: script))
            return try Self.withStockq(["run", "--database-url", database.url]) { _ in
                let text = try Self.output(
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

    /// Rounds of jobs that come and go while a transaction with a snapshot and an id stays open.
    ///
    /// - Returns: the rate of each round.
    func heldBack(rounds: Int) throws -> [Double] {
        try rig.withCopy(of: .singles(0)) { database in
            let holder = try database.connect()
            try holder.executeScript("BEGIN ISOLATION LEVEL REPEATABLE READ")
            try holder.executeScript("SELECT pg_current_xact_id(), count(*) FROM stockq.items")
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
            try holder.executeScript("ROLLBACK")
            try rig.verify(database)
            return rates
        }
    }

    // MARK: tuning

    /// Resident KiB of `stockq run` with four workers at batch 10,000: after a fifth of the jobs, and at most.
    func tuning(jobs: Int) throws -> (early: Double, peak: Double) {
        try rig.withCopy(of: .singles(jobs)) { database in
            var early = 0
            let connection = try database.connect()
            let deleted = Statement(
                "deleted", [], "SELECT n_tup_del FROM pg_stat_user_tables WHERE relname = 'jobs'")
            let report = try Self.runStockq(
                ["run", "--drain", "--json", "--workers", "4", "--batch-max", "10000", "--database-url", database.url],
                beside: { process in
                    // Counting results would cost what is measured; the statistics are near enough.
                    while process.isRunning {
                        Self.rest(milliseconds: 50)
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

    // MARK: processes

    private static let program = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()

    private static func start(_ executable: URL, _ arguments: [String], output: Pipe) throws -> Process {
        let process = Process()
        process.executableURL = executable
        process.arguments = arguments
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        return process
    }

    private static func output(of executable: String, _ arguments: [String]) throws -> String {
        let pipe = Pipe()
        let process = try start(URL(fileURLWithPath: executable), arguments, output: pipe)
        let text = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        if process.terminationStatus != 0 { throw Failure("\(executable) ended with \(process.terminationStatus)") }
        return text
    }

    /// Runs this program to its end and reads the numbers of the JSON that it prints.
    private static func runStockq(
        _ arguments: [String], beside: (Process) throws -> Void = { _ in }
    ) throws -> [String: Double] {
        let pipe = Pipe()
        let process = try start(program, arguments, output: pipe)
        try beside(process)
        let data = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        if process.terminationStatus != 0 {
            throw Failure("stockq \(arguments[0]) ended with \(process.terminationStatus)")
        }
        return try JSONDecoder().decode([String: Double].self, from: data)
    }

    private static func withStockq<Value>(_ arguments: [String], _ body: (Process) throws -> Value) throws -> Value {
        let process = try start(program, arguments, output: Pipe())
        defer {
            process.terminate()
            process.waitUntilExit()
        }
        return try body(process)
    }

    private static func cpuSeconds(of process: Process) -> Double {
        ProcessUsage.Times(of: process.processIdentifier)?.own ?? 0
    }

    // MARK: time

    private static func rest(milliseconds: Int) {
        var nothing: [pollfd] = []
        _ = poll(&nothing, 0, Int32(clamping: milliseconds))
    }

    private static func rest(until time: DispatchTime) {
        let now = DispatchTime.now()
        if time > now { rest(milliseconds: Int((time.uptimeNanoseconds - now.uptimeNanoseconds) / 1_000_000)) }
    }

    /// Asks every few milliseconds; gives up after ten minutes.
    private static func waitUntil(_ what: String, _ holds: () throws -> Bool) throws {
        let deadline = Deadline.after(milliseconds: 600_000)
        while try !holds() {
            if deadline.hasPassed { throw Failure("waited ten minutes until \(what)") }
            rest(milliseconds: 2)
        }
    }
}
