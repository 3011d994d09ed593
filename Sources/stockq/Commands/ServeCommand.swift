import CommandLineKit
import Foundation
import HTTPServer
import StockGateway
import StockGatewayExecution
import StockQueue
import StockQueuePostgres

enum ServeCommand: Command {
    private static let listen = Option(
        repeated: "listen", .endpoint, defaultText: "127.0.0.1:8080",
        help: "where to listen: HOST:PORT, unix:PATH or systemd; give it again for each address"
    ).configurable
    private static let workers = Option(
        "workers", .wholeNumber(0...1_000), default: 2, help: "workers in this process; 0 for the gateway alone"
    ).configurable
    private static let deadline = Option(
        "deadline", .duration, defaultText: "15s",
        help: "a call that is not decided by then is canceled; short for --set deadline=DURATION")
    private static let noQueryTokens = Flag(
        "no-query-tokens", help: "reject Ecwid's calls with ?token=; short for --set acceptQueryTokens=false")
    private static let set = Option(
        repeated: "set", .settingAssignment, help: "change a setting of the gateway or of its workers")
    private static let showSettings = Flag("show-settings", help: "print the settings and stop")
    private static let check = Flag("check", help: "say what keeps the gateway from serving, and stop")

    static let spec = CommandSpec(
        "serve",
        "Answers HTTP calls of Ecwid's, Prosperna's and Elastic Path's clients and of its own API; runs workers.",
        options: [listen, workers, deadline, noQueryTokens, set, showSettings, check] + MonitorOptions.all,
        usesDatabase: true,
        examples: [
            .init("Serve on the loopback interface."),
            .init(
                "Serve behind a proxy, with the workers elsewhere.", "--listen", "unix:/run/stockq.sock", "--workers",
                "0"),
        ],
        notes: [
            "Callers need tokens: stockq tokens create, stockq clients create.",
            "The first SIGTERM or SIGINT answers what is under way and stops; a second one ends the process at once.",
            "GET /healthz answers 200, or 503 while the database is away. With --listen-metrics, /livez, /readyz and "
                + "/startupz say more, on an address of their own.",
        ])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let log = MonitorOptions.log(input)
        let (settings, workerSettings) = try settings(input)
        if input[showSettings] {
            settings.show()
            if input[workers] > 0 { workerSettings.show() }
            return .success
        }
        var gateway = Gateway(
            connection: try Database.settings(input), schema: Database.schema(input), log: log,
            settings: settings, workerSettings: workerSettings)
        gateway.endpoints = input[listen].isEmpty ? [.tcp("127.0.0.1", 8_080)] : input[listen]
        gateway.workers = input[workers]
        if input[check] {
            let blockers = try gateway.blockers()
            Terminal.print(blockers.isEmpty ? "ready to serve" : blockers.joined(separator: "\n"))
            return blockers.isEmpty ? .success : .failure
        }
        return try gateway.serve(MonitorOptions.monitor(input))
    }

    /// The defaults, changed by the environment, then by the shorthands, then by `--set`.
    private static func settings(_ input: ParsedCommand) throws -> (GatewaySettings, WorkerSettings) {
        var settings = GatewaySettings()
        var workerSettings = WorkerSettings()
        try settings.apply(input.configuration)
        try workerSettings.apply(input.configuration, except: [workers.info.name])
        if input[workers] > 0 { workerSettings.workers = input[workers] }
        var assignments: [SettingAssignment] = []
        if let duration = input[deadline] {
            assignments.append(SettingAssignment(name: "deadline", value: duration.text))
        }
        if input[noQueryTokens] { assignments.append(SettingAssignment(name: "acceptQueryTokens", value: "false")) }
        for assignment in assignments + input[set] {
            do throws(ValidationError) {
                if WorkerSettings.has(assignment.name) {
                    try workerSettings.set(assignment.name, to: assignment.value)
                } else {
                    try settings.set(assignment.name, to: assignment.value)
                }
            } catch {
                throw input.usageError(error.message)
            }
        }
        return (settings, workerSettings)
    }
}

extension ValueType where Value == Endpoint {
    static var endpoint: Self {
        Self("ADDRESS", shape: .text(bytes: nil), expectation: "HOST:PORT, unix:PATH or systemd") { Endpoint($0) }
    }
}
