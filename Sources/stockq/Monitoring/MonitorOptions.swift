import CommandLineKit
import HTTPServer
import StockQueuePostgres

/// The options of a process that shows what it does.
enum MonitorOptions {
    static let logLevel = Option(
        "log-level", .choice("LEVEL", of: Log.Level.allCases), default: Log.Level.info, help: "the least severe lines"
    ).configurable
    static let logFormat = Option(
        "log-format", .choice("FORMAT", of: Log.Format.allCases), default: Log.Format.logfmt,
        help: "how lines of the log are written"
    ).configurable
    private static let logInterval = Option(
        "log-interval", .duration, default: Duration.minutes(1),
        help: "between two lines that say how fast the work goes; 0ms for none"
    ).configurable
    private static let listen = Option(
        "listen-metrics", .monitorEndpoint,
        help: "where to serve /metrics, /livez, /readyz and /startupz: a port of 127.0.0.1, HOST:PORT or unix:PATH"
    ).configurable

    static let all: [any Parameter] = [listen, logLevel, logFormat, logInterval]
    static let ofLog: [any Parameter] = [logLevel, logFormat]

    static func log(_ input: ParsedCommand) -> Log { Log(minimumLevel: input[logLevel], format: input[logFormat]) }

    static func monitor(_ input: ParsedCommand) -> Monitor.Options {
        Monitor.Options(endpoint: input[listen], logInterval: input[logInterval])
    }
}

extension ValueType where Value == Endpoint {
    /// Never systemd's sockets: those are the gateway's.
    fileprivate static var monitorEndpoint: Self {
        Self("ADDRESS", shape: .text(bytes: nil), expectation: "PORT, HOST:PORT or unix:PATH") { word in
            switch Endpoint(word.utf8.allSatisfy { (0x30...0x39).contains($0) } ? "127.0.0.1:\(word)" : word) {
            case .systemd, nil: nil
            case let endpoint?: endpoint
            }
        }
    }
}
