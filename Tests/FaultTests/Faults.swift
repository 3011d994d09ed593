import Foundation
import Testing

/// All fault tests, one after the other: each needs the machine for itself.
@Suite("Faults", .serialized) enum Faults {
    /// Every point of every sweep, instead of a selection: `STOCKQ_FAULTS=all`, which `make soak` sets.
    static let isFull = ProcessInfo.processInfo.environment["STOCKQ_FAULTS"] == "all"

    /// Each round of jobs comes with calls of a gateway: `STOCKQ_GATEWAY=1`, which `make soak` sets for one run.
    static let hasGateway = ProcessInfo.processInfo.environment["STOCKQ_GATEWAY"] != nil

    /// `make tsan` or `make asan`.
    static let isSanitized = ProcessInfo.processInfo.environment["STOCKQ_SANITIZED"] != nil

    /// The library that fakes a process's clock, of Debian's package faketime. A program built with a sanitizer hangs
    /// with it.
    static let clockLibrary: String? =
        isSanitized
        ? nil
        : ["x86_64", "aarch64"].map { "/usr/lib/\($0)-linux-gnu/faketime/libfaketimeMT.so.1" }
            .first { FileManager.default.fileExists(atPath: $0) }

    /// Reports what a test did, for the reader of a run and for docs/internals/reliability.md.
    static func report(_ line: String) { FileHandle.standardError.write(Data("faults: \(line)\n".utf8)) }
}
