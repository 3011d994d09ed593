import CommandLineKit
import Foundation
import HTTPServer
import StockQueue
import StockQueuePostgres

enum DashboardCommand: Command {
    private static let listen = Option(
        repeated: "listen", .endpoint, defaultText: "127.0.0.1:9820",
        help: "where to listen: HOST:PORT, unix:PATH or systemd; give it again for each address")
    private static let tokenFile = Option(
        "token-file", .file(), help: "the file with the token that a reader of the dashboard presents")
    private static let adminTokenFile = Option(
        "admin-token-file", .file(),
        help: "the file with the token of administrators, who may also act; without it the dashboard is read-only")
    private static let userHeader = Option(
        "user-header", .headerName,
        help: "trust this field of a request: a proxy in front names the user there whom it has authenticated")
    private static let prefix = Option(
        "path-prefix", .pathPrefix, help: "what comes before /dashboard in the paths, such as /stockq")
    private static let check = Flag("check", help: "say what keeps the dashboard from serving, and stop")

    static let spec = CommandSpec(
        "dashboard", "Serves a page that shows the queue live, and on which administrators act.",
        options: [listen, tokenFile, adminTokenFile, userHeader, prefix, check] + MonitorOptions.ofLog,
        usesDatabase: true,
        examples: [
            .init("Show the queue at http://127.0.0.1:9820/dashboard.", "--token-file", "/etc/stockq/dashboard.token"),
            .init(
                "Let administrators act too.", "--token-file", "/etc/stockq/dashboard.token", "--admin-token-file",
                "/etc/stockq/dashboard-admin.token"),
            .init(
                "Serve behind a proxy that names the user.", "--listen", "unix:/run/stockq-dashboard.sock",
                "--user-header", "X-Forwarded-User"),
        ],
        notes: [
            "Reading needs the role stockq_reader, and acts need stockq_admin.",
            "Make a token with: openssl rand -hex 24 >FILE",
        ])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        var access = DashboardAccess()
        access.readToken = try input[tokenFile].map(DashboardAccess.token)
        access.adminToken = try input[adminTokenFile].map(DashboardAccess.token)
        access.userField = input[userHeader]
        let server = DashboardServer(
            connection: try Database.settings(input), schema: Database.schema(input), access: access,
            endpoints: input[listen].isEmpty ? [.tcp("127.0.0.1", 9_820)] : input[listen],
            prefix: input[prefix] ?? "", log: MonitorOptions.log(input))
        if input[check] {
            try server.check()
            Terminal.print("ready to serve")
            return .success
        }
        if access.readToken == nil && access.adminToken == nil && access.userField == nil {
            throw input.usageError(
                "the dashboard is closed without a token: give --token-file, --admin-token-file or --user-header")
        }
        try server.check()
        return try server.serve()
    }
}

extension ValueType where Value == String {
    /// In lower case.
    fileprivate static var headerName: Self {
        Self("NAME", shape: .text(bytes: 1...100), expectation: "the name of a field, such as X-Forwarded-User") {
            word in
            let isName = word.utf8.allSatisfy {
                ($0 | 0x20 >= 0x61 && $0 | 0x20 <= 0x7A) || (0x30...0x39).contains($0) || $0 == UInt8(ascii: "-")
            }
            return isName && (1...100).contains(word.utf8.count) ? word.lowercased() : nil
        }
    }

    /// Without a slash at its end.
    fileprivate static var pathPrefix: Self {
        Self("PATH", shape: .text(bytes: 1...200), expectation: "a path such as /stockq") { word in
            let parts = word.split(separator: "/", omittingEmptySubsequences: false).dropFirst()
            let isPath =
                word.hasPrefix("/") && word.utf8.count <= 200 && !parts.dropLast().contains("")
                && word.utf8.allSatisfy {
                    ($0 | 0x20 >= 0x61 && $0 | 0x20 <= 0x7A) || (0x2D...0x39).contains($0) || $0 == UInt8(ascii: "_")
                }
            return isPath ? (word.hasSuffix("/") ? String(word.dropLast()) : word) : nil
        }
    }
}
