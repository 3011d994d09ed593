import CommandLineKit
import Foundation
import HTTPServer
import PrivateCluster
import StockQueue
import StockQueueLocking
import StockQueuePostgres

/// Webhooks to a receiver in this process, and drains beside subscriptions.
struct DeliveryScenarios {
    let rig: BenchRig
    let scale: Double

    private func scaled(_ count: Int) -> Int { max(100, Int(Double(count) * scale)) }

    // MARK: webhooks

    struct Webhooks {
        var rate: Double
        /// Resident KiB of the deliverer after a tenth of the messages, and at the end.
        var earlyKiB: Double
        var lateKiB: Double
        /// Processor seconds a message.
        var delivererCPU: Double
        var serverCPU: Double
    }

    /// `stockq deliver` with one subscription, and a notification of as many items as there are messages.
    func webhooks() throws -> Webhooks {
        let count = scaled(40_000)
        return try rig.withCopy(of: .crossings(count)) { database in
            _ = try rig.drain(database)
            let receiver = try CountingReceiver()
            try database.run(
                """
                SELECT stockq.add_subscription('bench', 'webhook', 'http://127.0.0.1:\(receiver.port)/stock',
                    secret => '\(WebhookSignature.randomSecret())');
                UPDATE stockq.subscriptions SET start_position = 0, start_row = 0;
                UPDATE stockq.delivery_progress SET position = 0, row_id = 0
                """)
            return try StockqProcess.running(
                ["deliver", "--set", "allowPrivateTargets=true", "--database-url", database.url]
            ) { process in
                try BenchScenarios.waitUntil("a tenth is delivered") { receiver.count >= count / 10 }
                let (start, first) = (Stopwatch(), receiver.count)
                let server = ServerCPU(rig.cluster)
                let cpu = StockqProcess.cpuSeconds(of: process)
                let early = Self.residentKiB(process)
                try BenchScenarios.waitUntil("all is delivered") { receiver.count >= count }
                let messages = Double(receiver.count - first)
                return Webhooks(
                    rate: messages * 1_000 / Double(max(1, start.milliseconds)), earlyKiB: early,
                    lateKiB: Self.residentKiB(process),
                    delivererCPU: (StockqProcess.cpuSeconds(of: process) - cpu) / messages,
                    serverCPU: server.since() / messages)
            }
        }
    }

    private static func residentKiB(_ process: Process) -> Double {
        Double(ProcessUsage.memoryKiB("VmRSS", ofProcess: String(process.processIdentifier)))
    }

    /// Answers each request with 200, and counts.
    private final class CountingReceiver {
        private let server: HTTPServer
        private let requests: Requests
        let port: Int

        private final class Requests: Sendable {
            let count = Mutex(0)
        }

        init() throws {
            let requests = Requests()
            var routes = RouteTable()
            routes.add(.post, "/stock") { call in
                requests.count.withLock { $0 += 1 }
                call.respond(.text(.ok, ""))
            }
            server = try HTTPServer([.tcp("127.0.0.1", 0)], settings: ServerSettings(), handler: RouteHandler(routes))
            port = server.addresses.first.flatMap { Int($0.split(separator: ":").last ?? "") } ?? 0
            self.requests = requests
        }

        deinit {
            server.shutDown(graceMs: 0)
            server.wait()
        }

        var count: Int { requests.count.withLock { $0 } }
    }

    // MARK: drains beside subscriptions

    /// Jobs a second of a worker process's pool, which delivers too, beside so many subscriptions of its stores.
    func drainRate(subscriptions: Int) throws -> Double {
        let jobs = scaled(300_000)
        return try rig.withCopy(of: .singles(jobs)) { database in
            try database.run(
                """
                SELECT count(stockq.add_subscription('bench ' || number, 'webhook', 'http://127.0.0.1:9/stock',
                    store_id => 'store-' || number % 16, secret => '\(WebhookSignature.randomSecret())'))
                FROM generate_series(1, \(subscriptions)) AS number
                """)
            let rate = try rig.withPool(database) { meter in
                try BenchScenarios.waitUntil("all jobs are done") { meter.totals.finished >= jobs }
                return Double(jobs) / meter.totals.seconds
            }
            try rig.verify(database)
            return rate
        }
    }
}
