import Foundation
import TestSupport
import Testing

/// schemathesis derives requests from the OpenAPI document, valid ones and others, and checks the answers against it.
/// `make check-api` runs it with many more examples.
@Suite("stockq serve: OpenAPI document") struct NativeConformanceTests {
    @Test("no request gets a 500 or an answer that the document does not have") func schemathesis() async throws {
        try await withDatabase { (database: TestDatabase) throws in
            // The examples have subscriptions to any mailbox.
            let shop = try ServeCommandTests.Shop(database, ["--set", "deliver=false"])
            let environment = ProcessInfo.processInfo.environment
            let examples = environment["STOCKQ_API_EXAMPLES"]
            let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../..")
            let ended = try Program().start(
                [
                    "python3", root.appendingPathComponent("Tests/Schemathesis/run.py").path, "http://\(shop.address)",
                    "1003", examples ?? "3",
                ] + (examples == nil ? ["fuzzing,stateful"] : []),
                environment: [
                    "TOKEN": shop.token, "PYTHONPATH": root.appendingPathComponent(".build/python").path,
                ], executable: "/usr/bin/env"
            ).wait(seconds: examples == nil ? 600 : 3_600)
            if examples != nil { print(ended.out) }
            #expect(ended.code == 0, "\(ended.out)\(ended.err)")
            #expect(ended.out.contains("generated"), "\(ended.out)\(ended.err)")
            #expect(!shop.gateway.errorText.contains("event=call_failed"))
            try shop.stop()
        }
    }
}
