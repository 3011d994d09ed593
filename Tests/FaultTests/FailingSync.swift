import Foundation
import PrivateCluster
import Testing

/// A library for a server's environment that makes fsync fail on demand.
final class FailingSync {
    private let folder = "/tmp/stockq-sync-\(getpid())-\(UInt32.random(in: 0 ... .max))"
    private var flag: String { folder + "/fails" }

    /// Compiles the library, with the Swift runtime in it: the server's account may not be able to read the toolchain.
    init() throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
        let source = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("FailingSync/FailingSync.swift")
        let compiler = Process()
        compiler.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        compiler.arguments = [
            "swiftc", "-static-stdlib", "-emit-library", "-o", folder + "/failing-sync.so", source.path,
        ]
        try PrivateCluster.withoutBlockedSignals { try compiler.run() }
        compiler.waitUntilExit()
        try #require(compiler.terminationStatus == 0, "swiftc is needed on the PATH")
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    var environment: [String: String] { ["LD_PRELOAD": folder + "/failing-sync.so", "FAILING_SYNC": flag] }

    /// Every fsync fails from now on.
    func fail() throws { try Data().write(to: URL(fileURLWithPath: flag)) }

    /// Every fsync succeeds from now on.
    func succeed() throws { try FileManager.default.removeItem(atPath: flag) }
}
