import Foundation
import FuzzTargets
import StockModel
import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// Replays the fuzzer's seeds and everything that it found, so that no fixed fault comes back.
@Suite struct CorpusTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var target: FuzzTarget
        var file: URL

        var testDescription: String { "\(target.name)/\(file.lastPathComponent)" }
    }

    private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("Fuzz/corpus")

    static let cases = FuzzTarget.all.flatMap { target in
        let files = try? FileManager.default.contentsOfDirectory(
            at: folder.appendingPathComponent(target.name), includingPropertiesForKeys: nil)
        return (files ?? []).sorted { $0.path < $1.path }.map { Case(target: target, file: $0) }
    }

    @Test("a corpus file finds nothing", arguments: cases) func corpusFile(_ input: Case) async throws {
        let problem = try await onThread { input.target.problem(with: Array(try Data(contentsOf: input.file))) }
        #expect(problem == nil)
    }

    @Test("every target has seeds", arguments: FuzzTarget.all.map(\.name)) func everyTargetHasSeeds(target: String) {
        #expect(Self.cases.contains { $0.target.name == target })
    }

    /// The first step of the fuzzer, without the fuzzer.
    @Test("cut and mixed seeds find nothing", arguments: FuzzTarget.all) func mixedSeeds(_ target: FuzzTarget)
        async throws
    {
        let problem = try await onThread { () -> String? in
            for bytes in try Self.mixed(target, 2_000) {
                if let problem = target.problem(with: bytes) { return "\(bytes): \(problem)" }
            }
            return nil
        }
        #expect(problem == nil)
    }

    private static func mixed(_ target: FuzzTarget, _ count: Int) throws -> [[UInt8]] {
        let seeds = try cases.filter { $0.target.name == target.name }.map { Array(try Data(contentsOf: $0.file)) }
        var random = SeededRandom(seed: 7)
        return (0..<count).map { _ in
            let (a, b) = (random.pick(seeds), random.pick(seeds))
            var mixed = Array(a.prefix(random.below(a.count + 1)) + b.suffix(random.below(b.count + 1)))
            for _ in 0..<random.below(4) where !mixed.isEmpty {
                mixed[random.below(mixed.count)] = UInt8(random.below(256))
            }
            return mixed
        }
    }

    // MARK: against the tables

    /// The readers check the rules of the tables' constraints and types; a row that they accept must not end an import.
    @Test("the tables accept what the readers accept", arguments: [InputFormat.csv, .ndjson]) func acceptedRows(
        format: InputFormat
    ) async throws {
        try await withDatabase { database in
            let connection = try database.connect()
            // So that jobs for times of the coming decades get as far as the table.
            try connection.executeScript("SELECT stockq.set_time_limit(36500)")
            for target in FuzzTarget.all where target.name.hasSuffix("-\(format.rawValue)") {
                let seeds = try Self.cases.filter { $0.target.name == target.name }.map {
                    Array(try Data(contentsOf: $0.file))
                }
                var taken = 0
                for bytes in try seeds + Self.mixed(target, 300) {
                    do {
                        taken += try Self.imported(
                            bytes, format, areJobs: target.name.hasPrefix("jobs"), connection)
                    } catch let error as PostgresError {
                        Issue.record("\(String(decoding: bytes, as: UTF8.self)): \(error)")
                    }
                }
                let table = target.name.hasPrefix("jobs") ? "jobs" : "items"
                let rows = try database.value("SELECT count(*) FROM stockq.\(table)")
                #expect(taken > 0 && rows == String(taken))
            }
        }
    }

    /// - Returns: the rows that were made.
    private static func imported(
        _ bytes: [UInt8], _ format: InputFormat, areJobs: Bool, _ connection: Connection
    ) throws -> Int {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("stockq-\(UUID().uuidString)")
        try Data(bytes).write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        let handle = try FileHandle(forReadingFrom: file)
        let source = ByteSource(descriptor: handle.fileDescriptor)
        do {
            if areJobs {
                var options = JobImport.Options()
                options.format = format
                var importer = try JobImport(
                    connection: connection, schema: .standard, source: source, options: options,
                    onReject: { _, _ in })
                return try importer.run().enqueued
            }
            var importer = try ItemImport(
                connection: connection, schema: .standard, source: source, form: InputForm(format), setsStock: false,
                allowsNegativeStock: true,
                onReject: { _, _ in })
            return try importer.run().created
        } catch is ValidationError {
            return 0  // the input as a whole is rejected
        }
    }
}

extension FuzzTarget: CustomTestStringConvertible {
    public var testDescription: String { name }
}
