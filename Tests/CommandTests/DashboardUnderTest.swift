import Foundation
import StockFormats
import StockQueuePostgres
import TestSupport
import Testing

/// A dashboard as a process, with its tokens.
final class DashboardUnderTest {
    static let token = "read-token-of-the-tests-0123456789"
    static let adminToken = "admin-token-of-the-tests-0123456789"

    let process: Program.Running
    let address: String
    private let folder: URL

    /// - Parameters:
    ///   - role: of the database; nil for the owner.
    ///   - admits: whether there is an admin token.
    init(_ database: TestDatabase, as role: String? = nil, admits: Bool = true, _ more: [String] = []) throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("dashboard-\(UUID().uuidString)")
        self.folder = folder
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let files = try [("token", Self.token), ("admin", Self.adminToken)].map { name, token in
            let file = folder.appendingPathComponent(name)
            try Data((token + "\n").utf8).write(to: file)
            return file.path
        }
        var program = Program(database)
        if let role { program.environment["DATABASE_URL"] = database.settings(as: role).conninfo }
        process = try program.start(
            ["dashboard", "--listen", "127.0.0.1:0", "--log-level", "debug", "--token-file", files[0]]
                + (admits ? ["--admin-token-file", files[1]] : []) + more)
        let event = "event=dashboard_listening address="
        let running = process
        guard eventually({ running.errorText.contains(event) || running.hasEnded }),
            let text = process.errorText.components(separatedBy: event).dropFirst().first
        else { throw ServeCommandTests.ShopError("no dashboard: \(process.errorText)") }
        address = String(text.prefix { !$0.isWhitespace })
    }

    deinit { try? FileManager.default.removeItem(at: folder) }

    func curl(_ path: String, _ arguments: [String] = []) throws -> ServeCommandTests.Answer {
        try ServeCommandTests.Shop.answer(start(path, arguments).wait())
    }

    /// Calls as the holder of a token.
    func get(_ path: String, token: String? = DashboardUnderTest.token) throws -> JSONValue {
        let answer = try curl(path, token.map { ["-H", "Authorization: Bearer \($0)"] } ?? [])
        #expect(answer.status == 200, "\(path): \(answer.body)")
        return try JSONReader.read(Array(answer.body.utf8)[...])
    }

    /// Asks for an act as the page does.
    func act(
        _ body: String, token: String? = DashboardUnderTest.adminToken, fields: [String] = ["X-Stockq-Act: 1"]
    ) throws -> ServeCommandTests.Answer {
        let all = fields + (token.map { ["Authorization: Bearer \($0)"] } ?? [])
        return try curl(
            "/dashboard/api/acts", ["-X", "POST", "--data-binary", body] + all.flatMap { ["-H", $0] })
    }

    func start(_ path: String, _ arguments: [String]) throws -> Program.Running {
        try Program().start(
            ["-sS", "-i", "-N", "--max-time", "60"] + arguments + ["http://\(address)\(path)"],
            executable: "/usr/bin/curl")
    }

    /// Stops it as an administrator does. No token is in its log.
    func stop() throws {
        process.send(SIGTERM)
        let ended = try process.wait()
        #expect(ended.code == 0, "\(ended.err)")
        for token in [Self.token, Self.adminToken] { #expect(!ended.err.contains(token), "the log has a token") }
    }
}
