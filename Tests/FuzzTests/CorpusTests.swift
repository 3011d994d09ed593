import Foundation
import FuzzTargets
import TestSupport
import Testing

/// The fuzzer's seeds and all that it ever found, once more: what was mended stays mended.
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

    @Test(arguments: cases) func comesToTermsWithTheInput(_ input: Case) async throws {
        let problem = try await onThread { input.target.problem(with: Array(try Data(contentsOf: input.file))) }
        #expect(problem == nil)
    }

    @Test(arguments: FuzzTarget.all.map(\.name)) func everyTargetHasSeeds(target: String) {
        #expect(Self.cases.contains { $0.target.name == target })
    }

    /// Cut and mixed seeds: what the fuzzer does first, without the fuzzer.
    @Test(arguments: FuzzTarget.all) func comesToTermsWithMixedSeeds(_ target: FuzzTarget) async throws {
        let seeds = try Self.cases.filter { $0.target.name == target.name }.map { Array(try Data(contentsOf: $0.file)) }
        let problem = try await onThread { () -> String? in
            var random = SeededRandom(seed: 7)
            for _ in 0..<2_000 {
                let (a, b) = (random.pick(seeds), random.pick(seeds))
                var mixed = Array(a.prefix(random.below(a.count + 1)) + b.suffix(random.below(b.count + 1)))
                for _ in 0..<random.below(4) where !mixed.isEmpty {
                    mixed[random.below(mixed.count)] = UInt8(random.below(256))
                }
                if let problem = target.problem(with: mixed) { return "\(mixed): \(problem)" }
            }
            return nil
        }
        #expect(problem == nil)
    }
}

extension FuzzTarget: CustomTestStringConvertible {
    public var testDescription: String { name }
}
