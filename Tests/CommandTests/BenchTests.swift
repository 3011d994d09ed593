import Foundation
import TestSupport
import Testing

/// The program `stockq-bench`.
@Suite struct BenchTests {
    @Test("the bench measures every figure that it promises") func measures() async throws {
        try await onThread {
            let folder = NSTemporaryDirectory() + "stockq-bench-test-\(UUID().uuidString)"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(atPath: folder) }
            let ended = try Program().start(
                [
                    "--quick", "--only", "drains", "--only", "held-back", "--only", "import", "--json",
                    folder + "/bench.json", "--svg",
                    folder + "/bench.svg",
                ], executable: Program.path + "-bench"
            ).wait(seconds: 600)
            #expect(ended.code == 0, "\(ended.err)")
            let data = try Data(contentsOf: URL(fileURLWithPath: folder + "/bench.json"))
            let report = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
            let figures = try #require(report["figures"] as? [[String: Any]])
            let names = figures.compactMap { $0["name"] as? String }
            for name in [
                "baseline", "upper_bound", "drain", "one_lane", "orders", "drain_wal", "cpu_ratio", "held_back",
                "import",
            ] {
                #expect(names.contains(name))
                #expect(
                    ended.out.contains(
                        try #require(figures.first { $0["name"] as? String == name }?["title"] as? String)))
            }
            #expect(figures.allSatisfy { ($0["value"] as? Double ?? 0) > 0 }, "every figure was measured")
            #expect((report["configuration"] as? [String: String])?["fsync"] == "on")
            #expect(try String(contentsOfFile: folder + "/bench.svg", encoding: .utf8).hasPrefix("<svg "))
        }
    }
}
