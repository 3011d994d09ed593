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
        help: "where to listen: HOST:PORT, unix:PATH or systemd; give it again for each address")
    private static let workers = Option(
        "workers", .wholeNumber(0...1_000), default: 2, help: "workers in this process; 0 for the gateway alone")
    private static let deadline = Option(
        "deadline", .duration, default: .seconds(15), help: "a call that is not decided by then is canceled")
    private static let rateLimit = Option(
        "rate-limit", .wholeNumber(1...1_000_000_000), default: 600_000,
        help: "requests to the native API that one token may make in a minute")
    private static let noQueryTokens = Flag(
        "no-query-tokens", help: "reject Ecwid's calls with ?token=, which some of its clients need")
    private static let check = Flag("check", help: "say what keeps the gateway from serving, and stop")
    private static let logLevel = Option(
        "log-level", .choice("LEVEL", of: Log.Level.allCases), default: Log.Level.info, help: "the least severe lines")

    static let spec = CommandSpec(
        "serve",
        "Answers HTTP calls of Ecwid's, Prosperna's and Elastic Path's clients and of its own API; runs workers.",
        options: [listen, workers, deadline, rateLimit, noQueryTokens, check, logLevel], usesDatabase: true,
        examples: [
            .init("Serve on the loopback interface."),
            .init(
                "Serve behind a proxy, with the workers elsewhere.", "--listen", "unix:/run/stockq.sock", "--workers",
                "0"),
        ],
        notes: [
            "Callers need tokens: stockq tokens create, stockq clients create.",
            "The first SIGTERM or SIGINT answers what is under way and stops; a second one ends the process at once.",
            "GET /healthz answers 200, or 503 while the database is away.",
        ])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let deadlineMs = input[deadline].milliseconds
        guard (100...18_000).contains(deadlineMs) else {
            throw input.usageError("--deadline takes 100ms to 18s: the most impatient client waits 20s")
        }
        let log = Log(minimumLevel: input[logLevel])
        var gateway = Gateway(connection: try Database.settings(input), schema: try Database.schema(input), log: log)
        gateway.endpoints = input[listen].isEmpty ? [.tcp("127.0.0.1", 8_080)] : input[listen]
        gateway.workers = input[workers]
        gateway.vendorSettings.deadlineMs = deadlineMs
        gateway.requestsPerMinute = input[rateLimit]
        gateway.vendorSettings.acceptsEcwidQueryTokens = !input[noQueryTokens]
        if input[check] {
            let blockers = try gateway.blockers()
            Terminal.print(blockers.isEmpty ? "ready to serve" : blockers.joined(separator: "\n"))
            return blockers.isEmpty ? .success : .failure
        }
        return try gateway.serve()
    }
}

extension ValueType where Value == Endpoint {
    fileprivate static var endpoint: Self {
        Self("ADDRESS", shape: .text(bytes: nil), expectation: "HOST:PORT, unix:PATH or systemd") { Endpoint($0) }
    }
}
