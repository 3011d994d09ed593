import Foundation
import PrivateCluster
import StockQueueLocking
import StockQueuePostgres
import TestSupport
import Testing

/// Clients that are slow or hostile, while a backlog is worked.
@Suite struct HostileClientTests {
    private static let slowClients = 1_000

    /// Attacks a gateway with each kind of client in a thread of its own.
    private final class Attack: Sendable {
        private let stopped = Shared(false)
        private let rounds = Shared(0)
        private let threads = Mutex<[Background]>([])

        /// How often a client connected, except the slow ones.
        var count: Int { rounds.value }

        init(_ shop: VendorShop) {
            start { isStopped in
                let slow = try (0..<HostileClientTests.slowClients).map { _ in try shop.client() }
                // A byte a second.
                var number = 0
                let head = Array("PUT \(VendorShop.product) HTTP/1.1\r\nHost: shop.example\r\n".utf8)
                while !isStopped() {
                    let byte = String(decoding: [head[number % head.count]], as: UTF8.self)
                    for client in slow { client.send(byte) }
                    number += 1
                    pause(milliseconds: 1_000)
                }
            }
            let token = shop.bearer
            let target = "/v1/products/stock-quantity?store_id=1003&token=\(shop.shop.token)"
            var random = SeededRandom(seed: 5)
            let garbage = String(decoding: (0..<50_000).map { _ in UInt8(random.below(256)) }, as: UTF8.self)
            let brackets = String(repeating: "[", count: 100_000)
            let chunk = String(repeating: "400\r\n\(String(repeating: "a", count: 1_024))\r\n", count: 64)
            let attacks = [
                garbage,
                "PUT \(VendorShop.product) HTTP/1.1\r\nHost: x\r\nX: " + String(repeating: "a", count: 10_000_000),
                "PUT \(VendorShop.product) HTTP/1.1\r\nHost: x\r\n\(token)\r\nContent-Type: application/json\r\n"
                    + "Transfer-Encoding: chunked\r\n\r\n" + String(repeating: chunk, count: 100),
                VendorCase.request("POST", target, [], brackets),
            ]
            for bytes in attacks {
                start { [rounds] isStopped in
                    while !isStopped() {
                        guard let client = try? shop.client() else { continue }
                        client.send(bytes)
                        client.finishSending()
                        // An answer or a reset: both end it.
                        _ = try? client.readAll()
                        rounds.update { $0 += 1 }
                        pause(milliseconds: 50)
                    }
                }
            }
        }

        private func start(_ body: @escaping @Sendable (_ isStopped: () -> Bool) throws -> Void) {
            let thread = Background { [stopped] in try body { stopped.value } }
            threads.withLock { $0.append(thread) }
        }

        func stop() throws {
            stopped.value = true
            for thread in threads.withLock({ $0 }) { try thread.wait() }
        }
    }

    private static func residentKiB(_ process: Int32) throws -> Int {
        let status = try String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)
        return status.firstMatch(of: /VmRSS:\s+(\d+) kB/).flatMap { Int($0.1) } ?? 0
    }

    private static func enqueue(_ shop: VendorShop) throws {
        try shop.shop.database.run(
            """
            INSERT INTO stockq.jobs (store_id, item_id, quantity)
            SELECT 'bulk', 'item-' || number % 100, 1 FROM generate_series(1, 20000) AS number
            """)
    }

    /// - Returns: how long the backlog took, ms.
    private static func drain(_ shop: VendorShop) throws -> Int {
        let began = ContinuousClock.now
        try enqueue(shop)
        let jobs = "SELECT count(*) FROM stockq.jobs WHERE store_id = 'bulk'"
        #expect(try eventually(seconds: 120) { try shop.shop.database.value(jobs) == "0" })
        return Int(began.duration(to: .now) / .milliseconds(1))
    }

    @Test("slow heads, garbage, endless headers and bodies, and deep nesting cost no memory and stop no work")
    func hostile() async throws {
        try await withVendorShop(["--set", "headTimeout=1m"]) { (shop: VendorShop) throws in
            try shop.shop.database.run(
                """
                INSERT INTO stockq.items (store_id, item_id, on_hand)
                SELECT 'bulk', 'item-' || number, 0 FROM generate_series(0, 99) AS number
                """)
            let alone = try Self.drain(shop)
            let attack = Attack(shop)
            #expect(eventually(seconds: 60) { attack.count > 20 })
            let before = try Self.residentKiB(shop.shop.gateway.processID)
            let attacked = try Self.drain(shop)
            let call = VendorCase.request(
                "PUT", VendorShop.product, [shop.bearer, VendorShop.json], #"{"quantityDelta":1}"#)
            for _ in 0..<20 { #expect(try shop.answer(call).status == 200) }
            #expect(eventually(seconds: 60) { attack.count > 200 })
            let after = try Self.residentKiB(shop.shop.gateway.processID)
            try attack.stop()
            #expect(after - before < 32 << 10, "\(before) KiB before, \(after) KiB after \(attack.count) attacks")
            print(
                "hostile clients: \(attack.count), drain \(alone) ms, attacked \(attacked) ms, \(before) to \(after) KiB"
            )
            #expect(try shop.shop.onHand() == "35")
        }
    }
}
