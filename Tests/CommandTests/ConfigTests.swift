import CommandLineKit
import Foundation
import PrivateCluster
import StockGatewayExecution
import StockQueue
import TestSupport
import Testing

/// Settings from the configuration file, the environment and the command line.
@Suite("Configuration") struct ConfigTests {
    /// A configuration file that is removed with its test.
    private final class File {
        let path = NSTemporaryDirectory() + "/stockq-\(UUID().uuidString).conf"

        init(_ text: String) throws { try text.write(toFile: path, atomically: true, encoding: .utf8) }

        deinit { unlink(path) }
    }

    /// The program with a configuration file, which stays until the program has run.
    private struct Configured {
        let file: File
        var program = Program()

        func run(_ arguments: [String]) throws -> Program.Ended {
            try withExtendedLifetime(file) { try program.run(arguments) }
        }
    }

    private static func program(_ file: File, _ environment: [String: String] = [:]) -> Configured {
        var configured = Configured(file: file)
        configured.program.environment = environment.merging(["STOCKQ_CONFIG": file.path]) { $1 }
        return configured
    }

    @Test("the command line comes first, then the environment, then the file, for settings") func settings() throws {
        let file = try File("lockTimeout = 50ms\nkeepResults = 90d  # a quarter\n\n# a comment\nworkers=3\n")
        func shown(_ environment: [String: String], _ arguments: [String]) throws -> String {
            let ended = try Self.program(file, environment).run(["run", "--show-settings"] + arguments)
            #expect(ended.code == 0, "\(ended.err)")
            return ended.out
        }
        let ofFile = try shown([:], [])
        for line in ["lockTimeout=50ms", "keepResults=90d", "workers=3"] { #expect(ofFile.contains(line + "\n")) }
        let variable = ["STOCKQ_LOCK_TIMEOUT": "60ms", "STOCKQ_WORKERS": "4"]
        #expect(try shown(variable, []).contains("lockTimeout=60ms\n"))
        #expect(try shown(variable, ["--set", "lockTimeout=70ms"]).contains("lockTimeout=70ms\n"))
        #expect(try shown(variable, ["--workers", "5"]).contains("workers=5\n"))
    }

    @Test("options come from the environment and the file too") func options() async throws {
        try await withDatabase { (database: TestDatabase) throws in
            let file = try File("log-format = json\nlog-level = error\ndatabase-url = \(database.url)\n")
            let quiet = try Self.program(file).run(["run", "--drain"])
            #expect(quiet.code == 0 && quiet.err.isEmpty, "\(quiet.err)")
            let json = try Self.program(file, ["STOCKQ_LOG_LEVEL": "info"]).run(["run", "--drain"])
            #expect(json.err.contains(#""event":"summary""#), "\(json.err)")
            let flags = try Self.program(file, ["STOCKQ_LOG_LEVEL": "debug"]).run(
                ["run", "--drain", "--log-format", "logfmt", "--log-level", "info"])
            #expect(flags.err.contains("event=summary") && !flags.err.contains("level=debug"), "\(flags.err)")
            // Both names of the database's variable come before the file.
            let nowhere = ["DATABASE_URL": "postgresql://me@/x?host=/nowhere"]
            #expect(try Self.program(file, nowhere).run(["stats"]).code == 1)
            #expect(try Self.program(file, nowhere).run(["--database-url", database.url, "stats"]).code == 0)
        }
    }

    @Test(
        "what is wrong in the file or the environment is a usage error with its place",
        arguments: [
            ("lockTimeout = 50ms\nlockTimeot = 1s\n", [:], ":2: there is no setting 'lockTimeot'; did you mean"),
            ("log-level = warn\nlog-level = info\n", [:], ":2: log-level is given twice, first at "),
            ("a line\n", [:], ":1: a line is name = value, not 'a line'"),
            ("log-level = loud\n", [:], ":1: --log-level takes one of debug, info, warn, error, not 'loud'"),
            ("lockTimeout = soon\n", [:], ":1: lockTimeout takes a duration"),
            ("", ["STOCKQ_LOG_LEVEL": "loud"], "STOCKQ_LOG_LEVEL: --log-level takes one of"),
            ("", ["STOCKQ_POOLED": "maybe"], "STOCKQ_POOLED: pooled takes true or false"),
            ("", ["STOCKQ_LOCK_TIMOUT": "1s"], "STOCKQ_LOCK_TIMOUT; did you mean STOCKQ_LOCK_TIMEOUT?"),
        ])
    func mistakes(_ text: String, _ environment: [String: String], _ message: String) throws {
        let ended = try Self.program(try File(text), environment).run(["run", "--show-settings"])
        #expect(ended.code != 0 && ended.err.contains(message), "\(ended)")
    }

    @Test("the variables that Kubernetes sets for services are no settings") func kubernetes() throws {
        let variables = [
            "STOCKQ_SERVICE_HOST": "10.0.0.1", "STOCKQ_SERVICE_PORT_HTTP": "80", "STOCKQ_PORT": "tcp://10.0.0.1:80",
            "STOCKQ_GATEWAY_PORT_80_TCP_ADDR": "10.0.0.1",
        ]
        let ended = try Self.program(try File(""), variables).run(["run", "--show-settings"])
        #expect(ended.code == 0, "\(ended.err)")
    }

    @Test("serve without workers is a setting too") func noWorkers() throws {
        let ended = try Self.program(try File("workers = 0\n")).run(["serve", "--show-settings"])
        #expect(ended.code == 0, "\(ended.err)")
        let config = try Self.program(try File("workers = 0\nlog-level = loud\n")).run(["config"])
        #expect(config.code == 1 && config.err.contains(":2: --log-level takes one of"), "\(config)")
    }

    @Test("a file that is named must exist; help does without it") func missing() throws {
        var program = Program()
        program.environment["STOCKQ_CONFIG"] = "/nowhere/stockq.conf"
        let ended = try program.run(["stats"])
        #expect(ended.code == 2 && ended.err.contains("cannot read the configuration file /nowhere"), "\(ended)")
        #expect(try program.run(["help", "run"]).code == 0)
    }

    @Test("config prints what is in force and from where, hides passwords, and prints a configuration file")
    func config() throws {
        let file = try File("keepKeys = 30d\ndatabase-url = postgresql://me:secret@db/x\n")
        let ended = try Self.program(file, ["STOCKQ_LOG_LEVEL": "warn"]).run(["config"])
        #expect(ended.code == 0, "\(ended.err)")
        let lines = ended.out.split(separator: "\n").map(String.init)
        #expect(lines.contains("keepKeys = 30d  # \(file.path):1"))
        #expect(lines.contains("database-url = postgresql://me:***@db/x  # \(file.path):2"), "\(ended.out)")
        #expect(lines.contains("log-level = warn  # STOCKQ_LOG_LEVEL"))
        #expect(lines.contains("lockTimeout = 200ms  # default"))
        #expect(lines.contains { $0.hasPrefix("deadline = ") })
        #expect(!ended.out.contains("secret"))
        // Every setting once.
        let names = lines.map { $0.trimmingPrefix("# ").split(separator: " ")[0] }
        #expect(Set(names).count == names.count)
        let again = try Self.program(
            try File(
                lines.joined(separator: "\n"))
        ).run(["run", "--show-settings"])
        #expect(again.code == 0 && again.out.contains("keepKeys=30d\n"), "\(again)")
    }

    @Test("settings and options have the same variables everywhere") func variables() {
        for setting in WorkerSettings.all {
            #expect(Configuration.variable(of: setting.name) == setting.environmentName)
        }
        for setting in GatewaySettings.all {
            #expect(Configuration.variable(of: setting.name) == setting.environmentName)
        }
        #expect(Configuration.variable(of: "listen-metrics") == "STOCKQ_LISTEN_METRICS")
    }
}
