import CommandLineKit
import Foundation
import StockQueue
import StockQueuePostgres

/// The gateway: wrk, `stockq serve` with two workers, and the server on one machine.
struct HTTPScenarios {
    let rig: BenchRig
    /// Seconds of one measurement.
    let seconds: Int

    /// A gateway that serves a database with products and a token.
    struct Served {
        let process: Process
        let port: UInt16
        let token: String
        let database: BenchRig.Database

        func run(_ load: HTTPLoad, seconds: Int) throws -> HTTPLoad.Seen {
            try load.run(port: port, token: token, seconds: seconds)
        }

        /// Resident MiB of the gateway.
        var residentMiB: Double {
            Double(ProcessUsage.memoryKiB("VmRSS", ofProcess: String(process.processIdentifier))) / 1_024
        }
    }

    /// Serves a fresh database, and checks its ledger afterwards: each right answer is a result.
    ///
    /// - Parameter body: returns how many jobs the right answers belong to.
    func serving(_ options: [String] = [], _ body: (Served) throws -> Int) throws {
        try rig.withCopy(of: .products(HTTPLoad.productCount, store: HTTPLoad.store)) { database in
            let token = try StockqProcess.output(of: [
                "tokens", "create", "bench", "--store", HTTPLoad.store, "--scope", "update_catalog", "--scope",
                "read_catalog", "--database-url", database.url,
            ]).trimmingCharacters(in: .whitespacesAndNewlines)
            let port = try QuietConnections.freePort()
            let jobs = try StockqProcess.running(
                ["serve", "--listen", "127.0.0.1:\(port)", "--log-level", "warn", "--database-url", database.url]
                    + options
            ) { process in
                try Self.waitUntilListening(port, process)
                return try body(Served(process: process, port: port, token: token, database: database))
            }
            let applied = try database.connect().execute(Self.countApplied).int64(0, 0)
            // wrk stops in the middle of its last requests.
            if applied < jobs { throw Failure("\(jobs) jobs were answered and \(applied) applied") }
            try rig.verify(database)
        }
    }

    private static let countApplied = Statement(
        "count_applied", [], "SELECT count(*) FROM stockq.results WHERE outcome = 'applied'")

    private static func waitUntilListening(_ port: UInt16, _ process: Process) throws {
        let deadline = Deadline.after(milliseconds: 30_000)
        while process.isRunning, !deadline.hasPassed {
            if let descriptor = try? QuietConnections.connect(port) {
                close(descriptor)
                return
            }
            pause(milliseconds: 10)
        }
        throw Failure("stockq serve does not listen")
    }

    /// Requests a second of a load.
    func rate(_ load: HTTPLoad, _ options: [String] = []) throws -> Double {
        var rate = 0.0
        try serving(options) { served in
            let seen = try served.run(load, seconds: seconds)
            rate = seen.rate
            return seen.answers * (load.call == .prosperna ? HTTPLoad.prospernaLines : 1)
        }
        return rate
    }

    /// Milliseconds from request to answer at an even rate.
    func latency(perSecond: Int) throws -> HTTPLoad.Seen {
        let connections = 20
        let load = HTTPLoad(connections: connections, pauseMs: connections * 1_000 / perSecond)
        var seen: HTTPLoad.Seen?
        try serving { served in
            // Until the plans of all statements are cached.
            let first = try served.run(load, seconds: 2)
            let measured = try served.run(load, seconds: seconds)
            seen = measured
            return first.answers + measured.answers
        }
        guard let seen else { throw Failure("nothing was measured") }
        return seen
    }

    /// A load alone and beside quiet connections, in turns on one gateway.
    ///
    /// - Returns: the rates, and the resident memory of the gateway while all connections are open.
    func besideQuiet(
        idle: Int, slow: Int, turns: Int
    ) throws -> (alone: [Double], beside: [Double], residentMiB: Double) {
        var (alone, beside): ([Double], [Double]) = ([], [])
        var residentMiB = 0.0
        try serving(["--set", "connectionsMax=20000"]) { served in
            var answers = try served.run(HTTPLoad(), seconds: 2).answers
            for _ in 0..<turns {
                let seen = try served.run(HTTPLoad(), seconds: seconds)
                alone.append(seen.rate)
                let quiet = try QuietConnections(idle: idle, slow: slow, port: served.port)
                let ended = DispatchSemaphore(value: 0)
                let sender = QuietSender(quiet, ended)
                sender.start()
                let other = try served.run(HTTPLoad(), seconds: seconds)
                beside.append(other.rate)
                residentMiB = max(residentMiB, served.residentMiB)
                sender.stop()
                answers += seen.answers + other.answers
            }
            return answers
        }
        return (alone, beside, residentMiB)
    }
}

/// Sends a byte on slow connections every half second, in a thread of its own.
private final class QuietSender: @unchecked Sendable {
    // Sendable: `quiet` is used by the thread alone once it has started.
    private let quiet: QuietConnections
    private let isStopped = DispatchSemaphore(value: 0)
    private let ended: DispatchSemaphore

    init(_ quiet: QuietConnections, _ ended: DispatchSemaphore) {
        self.quiet = quiet
        self.ended = ended
    }

    func start() {
        Thread { [self] in
            while isStopped.wait(timeout: .now() + .milliseconds(500)) == .timedOut { quiet.sendByte() }
            ended.signal()
        }.start()
    }

    func stop() {
        isStopped.signal()
        ended.wait()
    }
}
