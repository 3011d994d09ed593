import CommandLineKit
import Foundation
import PrivateCluster

enum DemoCommand: Command {
    private static let lines = Option(
        "lines", .wholeNumber(100...10_000_000), default: 100_000, help: "about how many jobs")
    private static let workers = Option("workers", .wholeNumber(1...64), default: 2, help: "worker threads")
    private static let seed = Option("seed", .wholeNumber(0...Int.max), default: 1, help: "another number, another day")
    private static let keep = Flag("keep", help: "keep the server running, and serve the shop over HTTP")

    static let spec = CommandSpec(
        "demo", "Runs one simulated day of orders on a private PostgreSQL and shows the results.",
        options: [lines, workers, seed, keep], usesDatabase: false,
        examples: [
            .init("Run the demo and remove everything."),
            .init("Keep the server for a look around, and call its shop with curl.", "--keep"),
        ],
        notes: [
            "Needs the server's programs (Debian: postgresql). Without --keep the server and its files are removed at the end."
        ])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        var options = PrivateCluster.Options()
        options.isKept = input[keep]
        options.settings = [("shared_buffers", "256MB"), ("max_wal_size", "4GB"), ("synchronous_commit", "on")]
        Terminal.print("Starting a private PostgreSQL …")
        let cluster = try PrivateCluster(name: "stockq-demo", options: options)
        defer { cluster.stop() }
        let demo = try Demo(cluster: cluster, workers: input[workers])
        try demo.prepare(lines: input[lines], seed: UInt64(input[seed]))
        try demo.work()
        let isRight = try demo.report()
        try printNextSteps(cluster, input[keep] ? try demo.serve() : nil)
        return isRight ? .success : .failure
    }

    /// Writes a script that stops the gateway and the server, and removes their folder: its call fits on a line.
    private static func stopScript(_ gateway: Int32, _ folder: String) throws -> String {
        let path = "\(folder)/stop"
        let script = """
            kill \(gateway)
            server=$(head -1 \(folder)/data/postmaster.pid)
            kill -INT $server
            while kill -0 $server 2>/dev/null; do sleep 0.1; done
            rm -rf \(folder)

            """
        try script.write(toFile: path, atomically: false, encoding: .utf8)
        return path
    }

    /// Each on a line, however long: a terminal's own line break is not copied.
    private static func printCommands(_ commands: [String]) {
        for command in commands { Terminal.print(exactly: "  \(command)") }
    }

    private static func printNextSteps(_ cluster: PrivateCluster, _ gateway: DemoGateway?) throws {
        let program = CommandLine.arguments[0]
        if let gateway {
            Terminal.print("\nThe server keeps running. Look around:")
            printCommands([
                "export DATABASE_URL='\(cluster.url(database: "demo"))'", "\(program) items list --level out",
                "\(program) items show berlin shirt-1", "\(program) stats",
            ])
            Terminal.print(
                "The shop is served at http://\(gateway.address). Call it as clients of Ecwid, Prosperna and Elastic Path do:"
            )
            printCommands(gateway.calls)
            Terminal.print("Stop both and remove them with:")
            printCommands(["sh \(try stopScript(gateway.processID, cluster.folder))"])
        } else {
            Terminal.print(
                """

                Try next:
                  \(program) demo --keep                      look around in the results
                  \(program) migrate --database-url URL       set up a queue in a database of yours
                  \(program) run --database-url URL           and run its workers
                """)
        }
    }
}
