import Foundation
import TestSupport
import Testing

extension ServeCommandTests {
    struct Answer: Sendable {
        var status: Int
        var fields: String
        var body: String
    }

    /// A store with a product and its variation, and a gateway with workers.
    struct Shop: Sendable {
        static let product = "39766764"
        static let variation = "7084060"
        static let ecwid = "/api/v3/1003/products/\(product)/inventory"

        let database: TestDatabase
        let gateway: Program.Running
        let address: String
        let token: String

        init(_ database: TestDatabase, _ arguments: [String] = []) throws {
            try database.run(
                """
                INSERT INTO stockq.items (store_id, item_id, parent_id, on_hand) VALUES
                    ('1003', '\(Self.product)', NULL, 15), ('1003', '\(Self.variation)', '\(Self.product)', 15);
                """)
            let program = Program(database)
            token = try Self.member(
                "token",
                of: program.run(
                    [
                        "tokens", "create", "shop", "--store", "1003", "--scope", "update_catalog", "--scope",
                        "read_catalog", "--scope", "manage_items", "--scope", "manage_notifications", "--json",
                    ]))
            self.database = database
            gateway = try program.start(["serve", "--listen", "127.0.0.1:0", "--log-level", "debug"] + arguments)
            let gateway = gateway
            guard eventually({ gateway.errorText.contains("event=listening address") || gateway.hasEnded }) else {
                throw ShopError("the gateway does not listen: \(gateway.errorText)")
            }
            guard let text = gateway.errorText.components(separatedBy: "event=listening address=").dropFirst().first
            else {
                throw ShopError("the gateway did not start: \(gateway.errorText)")
            }
            address = String(text.prefix { !$0.isWhitespace })
        }

        static func member(_ name: String, of ended: Program.Ended) throws -> String {
            let members = try JSONDecoder().decode([String: String].self, from: Data(ended.out.utf8))
            guard let value = members[name] else { throw ShopError("no \(name) in \(ended.out)\(ended.err)") }
            return value
        }

        func start(_ path: String, _ arguments: [String]) throws -> Program.Running {
            try Program().start(
                ["-sS", "-g", "-i", "--max-time", "30"] + arguments + ["http://\(address)\(path)"],
                executable: "/usr/bin/curl")
        }

        func curl(_ path: String, _ arguments: [String]) throws -> Answer {
            try Self.answer(try start(path, arguments).wait())
        }

        static func answer(_ ended: Program.Ended) throws -> Answer {
            let parts = ended.out.components(separatedBy: "\r\n\r\n")
            guard ended.code == 0, parts.count > 1, let status = Int(parts[0].split(separator: " ")[1]) else {
                throw ShopError("curl: \(ended.code) \(ended.err)\(ended.out)")
            }
            return Answer(status: status, fields: parts[0], body: parts[1])
        }

        /// The arguments of Ecwid's call.
        func delta(_ delta: Int, _ more: [String] = []) -> [String] {
            [
                "-X", "PUT", "-H", "Authorization: Bearer \(token)", "-H", "Content-Type: application/json", "-d",
                #"{"quantityDelta": \#(delta)}"#,
            ] + more
        }

        func onHand(_ item: String = product) throws -> String {
            try database.value("SELECT on_hand FROM stockq.items WHERE item_id = '\(item)'")
        }

        /// Stops the gateway as an administrator does.
        func stop() throws {
            gateway.send(SIGTERM)
            let ended = try gateway.wait()
            #expect(ended.code == 0, "\(ended.err)")
            #expect(!ended.err.contains(token), "the log has a token")
            #expect(try !String(contentsOfFile: database.logFile, encoding: .utf8).contains(token))
        }
    }

    struct ShopError: Error, CustomStringConvertible {
        var description: String
        init(_ description: String) { self.description = description }
    }
}

extension Program {
    func start(
        _ arguments: [String], environment: [String: String], executable: String
    ) throws -> Running {
        var program = self
        program.environment.merge(environment) { $1 }
        return try program.start(arguments, executable: executable)
    }
}
