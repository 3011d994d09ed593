import CommandLineKit
import Foundation
import StockModel
import StockQueue
import TestSupport
import Testing
import stockq

/// The pages for administrators: their commands and queries run, and no event and no code lacks a row.
@Suite("Runbook") struct RunbookTests {
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    private static func text(_ path: String) throws -> String {
        try String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)
    }

    private static func pages() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: root.path + "/docs/operating").filter {
            $0.hasSuffix(".md")
        }.map { "docs/operating/\($0)" }.sorted()
    }

    @Test("the commands and the queries of the runbook run") func commands() async throws {
        try await withDatabase { database in
            try database.run(
                """
                INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('berlin', 'mug', 9);
                INSERT INTO stockq.jobs (store_id, item_id, quantity, reference) VALUES
                    ('berlin', 'mug', -1, 'nightly-sync'), ('berlin', 'mug', -1, 'nightly-sync')
                """)
            let program = Program(database)
            let page = "docs/operating/runbook.md"
            let lines = try ProducerDocsTests.blocks("sh", in: page).flatMap { $0.split(separator: "\n") }
            #expect(lines.count > 10)
            for line in lines where line.hasPrefix("stockq ") {
                let ended = try program.runInShell(String(line.dropFirst("stockq ".count)), "")
                // No worker is connected, and two commands say so.
                let finds = ["stockq doctor", "stockq workers"].contains { line.hasPrefix($0) }
                let code: Int32 = finds ? 1 : 0
                #expect(ended.code == code, "\(line): \(ended.out)\(ended.err)")
            }
            for page in [page, "docs/operating/sizing.md"] {
                for query in try ProducerDocsTests.blocks("sql", in: page) { try database.run(query) }
            }
        }
    }

    @Test("every command that a page for administrators names exists") func names() throws {
        let paths = Main.program.commands.map(\.path)
        let families = Set(paths.map { $0[0] } + ["help"])
        for page in try Self.pages() {
            for match in try Self.text(page).matches(of: /`stockq ([a-z][a-z ]*[a-z])/) {
                let words = match.1.split(separator: " ").map(String.init)
                let isCommand = paths.contains { words.starts(with: $0) || $0.starts(with: words) }
                #expect(isCommand || families.contains(words[0]), "\(page): stockq \(match.1)")
            }
        }
    }

    @Test("each log event has a row in the logs and in the runbook") func events() throws {
        let (logs, runbook) = (try Self.text("docs/operating/logs.md"), try Self.text("docs/operating/runbook.md"))
        let folder = Self.root.appendingPathComponent("Sources/stockq")
        var events: Set<String> = []
        for case let file as URL in try #require(
            FileManager.default.enumerator(at: folder, includingPropertiesForKeys: nil))
        where file.pathExtension == "swift" {
            let source = try String(contentsOf: file, encoding: .utf8)
            for match in source.matches(
                of: /\.(?:info|warn|error|debug),\s+(?:[^"(\n]*\? )?"([a-z_]+)"(?: : "([a-z_]+)")?/)
            {
                events.insert(String(match.1))
                if let other = match.2 { events.insert(String(other)) }
            }
        }
        #expect(events.count > 25, "\(events)")
        for event in events.sorted() {
            #expect(logs.contains("`\(event)`"), "docs/operating/logs.md lacks \(event)")
            #expect(runbook.contains("`\(event)`"), "docs/operating/runbook.md lacks \(event)")
        }
    }

    /// The SQLSTATEs of the conditions that the schema's functions raise.
    private static let conditions = [
        "array_subscript_error": "2202E", "check_violation": "23514", "configuration_limit_exceeded": "53400",
        "insufficient_privilege": "42501", "internal_error": "XX000", "invalid_parameter_value": "22023",
        "invalid_text_representation": "22P02", "no_data_found": "P0002", "not_null_violation": "23502",
        "object_not_in_prerequisite_state": "55000", "program_limit_exceeded": "54000",
        "undefined_object": "42704", "unique_violation": "23505",
    ]

    @Test("each error code has a row in the runbook") func codes() throws {
        let runbook = try Self.text("docs/operating/runbook.md")
        for code in ResultCode.allCases {
            #expect(runbook.contains("`\(code.rawValue)`"), "it lacks \(code.rawValue)")
        }
        var states: Set<String> = []
        let source = try Self.text("Sources/StockQueuePostgres/SQLState.swift")
        for match in source.matches(of: /rawValue: "([0-9A-Z]{5})"/) { states.insert(String(match.1)) }
        let functions = try FileManager.default.contentsOfDirectory(atPath: Self.root.path + "/migrations/functions")
        for file in functions {
            for match in try Self.text("migrations/functions/\(file)").matches(of: /RAISE ([a-z_]+) USING/) {
                let state = Self.conditions[String(match.1)]
                #expect(state != nil, "\(file) raises \(match.1)")
                if let state { states.insert(state) }
            }
        }
        #expect(states.count > 25)
        let rows = runbook.split(separator: "\n").compactMap {
            $0.hasPrefix("| ") ? $0.split(separator: "|").first : nil
        }
        for state in states.sorted() {
            let isListed = rows.contains { row in
                row.contains(state) || row.contains("\(state.prefix(2))xxx") || row.contains("class \(state.prefix(2))")
            }
            #expect(isListed, "it lacks \(state)")
        }
    }

    @Test("a dump is restored into another database, and verifies and works on") func restore() async throws {
        try await withDatabase { database in
            try database.run(
                "INSERT INTO stockq.items (store_id, item_id, on_hand, low_stock_threshold) VALUES ('s', 'a', 9, 5)")
            try database.enqueue(.adjust("a", -5, key: "k"), .adjust("a", -9))
            try database.drain()
            try database.enqueue(.adjust("a", -1))
            let file = NSTemporaryDirectory() + "/stockq-\(UUID().uuidString).dump"
            defer { unlink(file) }
            let copy = TestDatabase(existing: "\(database.name)_copy", on: database.cluster)
            func run(_ script: String) throws {
                let ended = try Program().start(["-c", script], executable: "/bin/sh").wait()
                #expect(ended.code == 0, "\(script): \(ended.err)")
            }
            try run("pg_dump --format custom --file \(file) '\(database.url)'")
            try database.run("CREATE DATABASE \(copy.name)")
            defer { copy.drop() }
            try run("pg_restore --dbname '\(copy.url)' --exit-on-error --no-acl \(file)")
            let program = Program(copy)
            for command in ["migrate", "verify", "run --drain --log-level error", "verify"] {
                let ended = try program.run(command.split(separator: " ").map(String.init))
                #expect(ended.code == 0, "\(command): \(ended.out)\(ended.err)")
            }
            #expect(try copy.value("SELECT on_hand, version FROM stockq.items") == "3,2")
            // A key of before is known; and the roles may what they could.
            try copy.enqueue(.adjust("a", -5, key: "k"))
            try copy.drain()
            #expect(try copy.value("SELECT outcome FROM stockq.results ORDER BY job_id DESC LIMIT 1") == "duplicate")
            #expect(
                try copy.value("SELECT has_table_privilege('stockq_reader', 'stockq.results', 'SELECT')") == "t")
        }
    }
}
