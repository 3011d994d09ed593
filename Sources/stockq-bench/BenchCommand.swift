import BuildInfo
import CommandLineKit
import Foundation
import PrivateCluster
import StockQueue
import StockQueuePostgres

/// The program: measures stockq, a baseline and an upper bound side by side.
@main
package enum BenchCommand {
    private static let rounds = Option(
        "rounds", .wholeNumber(1...100), defaultText: "5, with --quick 1",
        help: "how often each drain is measured; figures are medians")
    private static let only = Option(
        repeated: "only", .choice("NAME", of: BenchScenario.allCases), defaultText: "all but http",
        help: "only this scenario")
    private static let quick = Flag(
        "quick", help: "a hundredth of the rows, one round: shows that the bench works, not how fast stockq is")
    private static let json = Option("json", .file(), help: "write the figures as JSON")
    private static let svg = Option("svg", .file(), help: "draw the figures")

    package static let program = ProgramSpec(
        name: "stockq-bench", summary: spec.summary, commands: [spec])

    private static let spec = CommandSpec(
        "", "Measures stockq, a baseline and an upper bound side by side on a private PostgreSQL.",
        options: [rounds, only, quick, json, svg],
        examples: [
            .init("Measure everything and keep the figures.", "--json", "bench.json", "--svg", "bench.svg"),
            .init("Measure the gateway with wrk.", "--only", "http"),
            .init("Measure one scenario three times.", "--only", "latency", "--rounds", "3"),
        ],
        notes: [
            "The server is durable (fsync, synchronous_commit and full_page_writes on) and runs beside the workers on this "
                + "machine. All scenarios take about half an hour, and need 20 GB of disk.",
            "Needs the server's programs and pgbench (Debian: postgresql), and the program stockq in the same folder.",
        ])

    package static func main() {
        ProcessSetup.begin()
        exit(run().rawValue)
    }

    private static func run() -> ExitCode {
        do {
            switch try program.interpret(try ProcessSetup.arguments(of: program.name)) {
            case .command(let input): try measure(input)
            case .help(let text): Terminal.print(text)
            case .version: Terminal.print("\(program.name) \(Version.number) (commit \(Version.commit))")
            case .nothing: preconditionFailure("the program's only command needs no words")
            }
            return Terminal.outputProblem == nil ? .success : .failure
        } catch let error as UsageError {
            Terminal.note(error.description)
            return .usage
        } catch {
            Terminal.note("\(program.name): \(error)")
            return .failure
        }
    }

    private static func measure(_ input: ParsedCommand) throws {
        let start = Stopwatch()
        let rounds = input[rounds] ?? (input[quick] ? 1 : 5)
        let rig = try BenchRig()
        defer { rig.cluster.stop() }
        var bench = Bench(rig: rig, rounds: rounds, scale: input[quick] ? 0.01 : 1)
        let chosen = input[only]
        var failed: [String] = []
        for scenario in BenchScenario.allCases where chosen.isEmpty ? scenario != .http : chosen.contains(scenario) {
            let earlier = bench.figures.count
            do {
                try bench.run(scenario)
            } catch {
                // The other scenarios take long, and say something without this one.
                Terminal.note("\(program.name): \(scenario.rawValue) failed: \(error)")
                failed.append(scenario.rawValue)
            }
            for figure in bench.figures[earlier...] { bench.report(figure) }
        }
        let report = BenchReport(
            version: Version.number, postgres: try rig.serverVersion(),
            cores: ProcessInfo.processInfo.activeProcessorCount,
            memoryGiB: Int((Double(ProcessInfo.processInfo.physicalMemory) / Double(1 << 30)).rounded()),
            configuration: Dictionary(uniqueKeysWithValues: BenchRig.configuration.map { ($0.name, $0.value) }),
            rounds: rounds, seconds: Double(start.milliseconds) / 1_000, figures: bench.figures,
            heldBackRounds: bench.heldBackRounds)
        Terminal.endProgress()
        Terminal.print(report.table)
        if let file = input[json] { try write(report.json, file) }
        if let file = input[svg] { try write(report.svg, file) }
        if !failed.isEmpty {
            throw Failure("failed: \(failed.joined(separator: ", ")); the table has the other figures")
        }
    }

    private static func write(_ text: String, _ file: String) throws {
        do {
            try Data(text.utf8).write(to: URL(fileURLWithPath: file))
        } catch {
            throw Failure("cannot write \(file): \(error)")
        }
    }
}

/// What can be measured, in the order in which it is.
enum BenchScenario: String, CaseIterable, Sendable {
    case drains, steady, `import`, latency, idle
    case heldBack = "held-back"
    case openTransaction = "open-transaction"
    case backlog, catalog, growth, producers, memory, deliveries, fairness
    /// The gateway: it needs wrk and the folder of the sources.
    case http
}
