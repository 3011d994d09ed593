import CommandLineKit
import Foundation
import PrivateCluster

/// `stockq` and other programs as processes of their own, which end with this one.
enum StockqProcess {
    /// `stockq` of the same build.
    private static let program = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        .deletingLastPathComponent().appendingPathComponent("stockq")

    private static func start(
        _ executable: URL, _ arguments: [String], output: Pipe, environment: [String: String] = [:]
    ) throws -> Process {
        let process = Process()
        process.executableURL = executable
        process.arguments = arguments
        process.environment = try ProcessGuard.environment().merging(environment, uniquingKeysWith: { $1 })
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        return process
    }

    /// Runs stockq to its end and returns what it prints.
    static func output(of arguments: [String]) throws -> String { try output(of: program.path, arguments) }

    static func output(
        of executable: String, _ arguments: [String], environment: [String: String] = [:]
    ) throws -> String {
        let pipe = Pipe()
        let process = try start(
            URL(fileURLWithPath: executable), arguments, output: pipe, environment: environment)
        let text = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        if process.terminationStatus != 0 { throw Failure("\(executable) ended with \(process.terminationStatus)") }
        return text
    }

    /// Runs stockq to its end and reads the numbers of the JSON that it prints.
    static func run(
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
        let values = try JSONSerialization.jsonObject(with: data) as? [String: Any] ?? [:]
        return values.compactMapValues { $0 as? Double }
    }

    static func running<Value>(_ arguments: [String], _ body: (Process) throws -> Value) throws -> Value {
        let process = try start(program, arguments, output: Pipe())
        defer {
            process.terminate()
            process.waitUntilExit()
        }
        return try body(process)
    }

    static func cpuSeconds(of process: Process) -> Double {
        ProcessUsage.Times(of: process.processIdentifier)?.own ?? 0
    }
}
