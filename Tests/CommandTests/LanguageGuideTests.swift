import Foundation
import TestSupport
import Testing

/// Runs the examples of the guide to languages with their drivers.
@Suite struct LanguageGuideTests {
    private static let page = "docs/guides/languages.md"

    /// A language of the guide, and the shell command that runs the file of its example.
    struct Language: Sendable, CustomTestStringConvertible {
        let name: String
        let file: String
        let command: String

        var testDescription: String { name }
    }

    static let languages = [
        Language(name: "php", file: "order.php", command: "php order.php"),
        Language(name: "ruby", file: "order.rb", command: "ruby order.rb"),
        Language(
            name: "go", file: "order.go",
            command: "GO111MODULE=off GOPATH=/usr/share/gocode GOCACHE=$PWD/cache go run order.go"),
        Language(
            name: "java", file: "Order.java",
            command: "javac -d . -cp /usr/share/java/postgresql.jar Order.java"
                + " && java -cp .:/usr/share/java/postgresql.jar Order"
                + " \"jdbc:postgresql://127.0.0.1:$PROXY_PORT/$PGDATABASE?user=$PGUSER&sslmode=disable\""),
    ]

    @Test("the example of a language enqueues an order and prints its results", arguments: languages)
    func example(language: Language) async throws {
        try await withDatabase { database in
            try database.run(
                """
                INSERT INTO stockq.items (store_id, item_id, on_hand)
                VALUES ('berlin', 'mug', 12), ('berlin', 'shirt-m', 20)
                """)
            let proxy = try Proxy(to: database)
            defer { proxy.close() }
            let workers = database.startWorkers()
            let ended = try Self.run(language, database, proxy)
            try workers.stop()
            #expect(ended.code == 0, "\(ended.err)")
            let lines = ended.out.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }
            #expect(lines == ["mug applied", "shirt-m applied"], "\(ended.out)")
        }
    }

    @Test("the example for Node is correct JavaScript") func node() async throws {
        try await onThread {
            let text = try #require(try ProducerDocsTests.blocks("js", in: Self.page).first)
            let ended = try Self.inFolder { folder in
                try Data(text.utf8).write(to: folder.appendingPathComponent("order.js"))
                return try Program().start(
                    ["-c", "cd \(folder.path) && node --check order.js"], executable: "/bin/sh"
                ).wait()
            }
            #expect(ended.code == 0, "\(ended.err)")
        }
    }

    private static func run(_ language: Language, _ database: TestDatabase, _ proxy: Proxy) throws -> Program.Ended {
        let text = try #require(try ProducerDocsTests.blocks(language.name, in: page).first)
        return try inFolder { folder in
            try Data((text + "\n").utf8).write(to: folder.appendingPathComponent(language.file))
            var program = Program()
            for part in database.conninfo.split(separator: " ") {
                let pair = part.split(separator: "=", maxSplits: 1).map {
                    String($0).trimmingCharacters(in: CharacterSet(charactersIn: "'"))
                }
                let names = ["host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "dbname": "PGDATABASE"]
                if let name = names[pair[0]] { program.environment[name] = pair[1] }
            }
            program.environment["PROXY_PORT"] = "\(proxy.port)"
            return try program.start(["-c", "cd \(folder.path) && \(language.command)"], executable: "/bin/sh").wait()
        }
    }

    private static func inFolder<Value>(_ body: (URL) throws -> Value) throws -> Value {
        let folder = URL(fileURLWithPath: NSTemporaryDirectory() + "stockq-language-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        return try body(folder)
    }
}
