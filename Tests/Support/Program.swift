import Foundation
import PrivateCluster

/// The `stockq` binary of this build, run as a user runs it.
public struct Program: Sendable {
    public struct Ended: Sendable {
        public var code: Int32
        public var out: String
        public var err: String
    }

    /// A process that was started. It ends with its test, or with the test program: see `ProcessGuard`.
    public final class Running: @unchecked Sendable {
        // Sendable: the process does not change once it runs, and any thread may send it a signal.
        private let process: Process
        private let out: URL
        private let err: URL

        fileprivate init(_ process: Process, out: URL, err: URL) {
            self.process = process
            self.out = out
            self.err = err
        }

        deinit {
            if process.isRunning { kill(process.processIdentifier, SIGKILL) }
            for file in [out, err] { try? FileManager.default.removeItem(at: file) }
        }

        public func send(_ signal: Int32) { kill(process.processIdentifier, signal) }

        public var hasEnded: Bool { !process.isRunning }

        public var processID: Int32 { process.processIdentifier }

        public var errorText: String { (try? String(contentsOf: err, encoding: .utf8)) ?? "" }

        public var outputText: String { (try? String(contentsOf: out, encoding: .utf8)) ?? "" }

        /// Waits until the process ends. If a signal ended it, the code is the signal's number, negative. A process
        /// that does not end within so many seconds is killed.
        public func wait(seconds: Double = 120) throws -> Ended {
            let hasEnded = DispatchSemaphore(value: 0)
            let process = self.process
            let watchdog = Thread {
                if hasEnded.wait(timeout: .now() + seconds) == .timedOut { kill(process.processIdentifier, SIGKILL) }
            }
            watchdog.start()
            process.waitUntilExit()
            hasEnded.signal()
            let code =
                process.terminationReason == .uncaughtSignal ? -process.terminationStatus : process.terminationStatus
            return Ended(code: code, out: outputText, err: errorText)
        }
    }

    public var environment: [String: String] = [:]

    public init(_ database: TestDatabase? = nil) {
        if let database { environment["DATABASE_URL"] = database.url }
    }

    /// In the folder of the test runner, which the same build made.
    public static let path: String = {
        let folder = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
        return folder.appendingPathComponent("stockq").path
    }()

    /// - Parameters:
    ///   - output: a file for standard output; nil for one that is read at the end.
    ///   - executable: another program than `stockq`.
    public func start(
        _ arguments: [String], input: [UInt8] = [], output: String? = nil, executable: String = Self.path
    ) throws -> Running {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: executable)
        process.arguments = arguments
        // The variables of the tests are no settings of the program.
        var all = try ProcessGuard.environment().filter { name, _ in
            !name.hasPrefix("PG") && name != "DATABASE_URL"
                && (!name.hasPrefix("STOCKQ_") || name == ProcessGuard.markName)
        }
        all.merge(environment) { $1 }
        process.environment = all
        let files = try ["in", "out", "err"].map { name in
            let url = URL(fileURLWithPath: NSTemporaryDirectory()).appendingPathComponent(
                "stockq-\(UUID().uuidString).\(name)")
            try Data(name == "in" ? input : []).write(to: url)
            return url
        }
        process.standardInput = try FileHandle(forReadingFrom: files[0])
        process.standardOutput = try FileHandle(forWritingTo: output.map { URL(fileURLWithPath: $0) } ?? files[1])
        process.standardError = try FileHandle(forWritingTo: files[2])
        try PrivateCluster.withoutBlockedSignals { try process.run() }
        try FileManager.default.removeItem(at: files[0])
        return Running(process, out: files[1], err: files[2])
    }

    /// Runs the program in a shell.
    ///
    /// - Parameters:
    ///   - arguments: the words after the program's name.
    ///   - redirection: redirections after them.
    ///   - before: shell commands before the program's name.
    public func runInShell(_ arguments: String, _ redirection: String, before: String = "") throws -> Ended {
        try start(["-c", "\(before)\(Self.path) \(arguments) \(redirection)"], executable: "/bin/sh").wait()
    }

    /// Starts the program as the child of a shell.
    public func startInShell(_ arguments: [String]) throws -> Running {
        try start(["-c", "\"$@\"; exit $?", "sh", Self.path] + arguments, executable: "/bin/sh")
    }

    public func run(_ arguments: [String], input: String = "") throws -> Ended {
        try run(arguments, input: Array(input.utf8))
    }

    public func run(_ arguments: [String], input: [UInt8]) throws -> Ended {
        try start(arguments, input: input).wait()
    }
}
