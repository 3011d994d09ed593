import CommandLineKit
import Foundation
import StockModel
import StockQueuePostgres
import TestSupport
import Testing

/// What reaches a terminal: no character that it obeys and no invisible one, tables in columns, a progress line
/// that fits.
@Suite struct TerminalTests {
    // MARK: hidden characters

    @Test(
        "a character that a terminal obeys or does not show is written as an escape",
        arguments: [
            ("a\u{202E}b", "a\\u202eb"), ("a\u{200B}", "a\\u200b"), ("\u{FEFF}a", "\\ufeffa"),
            ("\u{1B}[2J", "\\u001b[2J"),
            ("a\nb\tc\r", "a\\nb\\tc\\r"), ("\u{7F}\u{9B}2J", "\\u007f\\u009b2J"),
            ("\u{2066}\u{2069}", "\\u2066\\u2069"),
            ("a\u{2028}b", "a\\u2028b"), ("a\u{3164}", "a\\u3164"), ("\u{E0041}", "\\udb40\\udc41"),
            ("a\u{AD}b", "a\\u00adb"),
            ("é 東京 🛒 e\u{301}", "é 東京 🛒 e\u{301}"), ("", ""),
        ])
    func escapes(text: String, shown: String) {
        #expect(text.printable == shown)
        #expect(!text.printable.unicodeScalars.contains(where: VisibleText.isHidden))
    }

    @Test("line breaks of a text of several lines stay") func lineBreaks() {
        #expect(VisibleText.escaped("a\n\u{202E}b\n", keepsLineBreaks: true) == "a\n\\u202eb\n")
    }

    private static let hidden = "a\u{202E}b\u{200B}"

    /// Names, and an administrator's own words, through every command that shows them.
    @Test("no command prints hidden characters, and JSON stays the same value") func commands() async throws {
        try await withDatabase { database in
            let name = Self.hidden
            // Such ids are refused now; those of an earlier release stay.
            try database.run(
                """
                ALTER TABLE stockq.items DISABLE TRIGGER USER;
                ALTER TABLE stockq.jobs DROP CONSTRAINT jobs_ids_visible;
                INSERT INTO stockq.items (store_id, item_id, on_hand, low_stock_threshold, parent_id)
                VALUES ('\(name)', '\(name)', 5, 4, '\(name)');
                ALTER TABLE stockq.items ENABLE TRIGGER USER;
                INSERT INTO stockq.jobs (store_id, item_id, quantity, reference, reason)
                VALUES ('\(name)', '\(name)', -2, '\(name)', NULL), ('\(name)', 'x', -2, NULL, '\(name)');
                INSERT INTO stockq.grants (producer, store_id, scopes, granted_by)
                VALUES ('\(name)', '\(name)', '{read_catalog}', '\(name)')
                """)
            let program = Program(database)
            var texts: [String] = []
            func run(_ words: String...) throws -> String {
                let ended = try program.run(words)
                texts.append(ended.out + ended.err)
                return ended.out
            }
            _ = try run("enqueue", name, name, "-2", "--reference", name)
            _ = try run("cancel", "2", "--reason", name)
            _ = try run("run", "--drain", "--log-level", "debug")
            _ = try run("pause", "--store", name)
            for words in [
                ["result", "1", "2"], ["items", "list"], ["items", "show", name, name], ["notifications"], ["stats"],
                ["stats", "--json"], ["grants", "list"], ["verify"], ["items", "show", name, "none"],
                ["import", "/\(name)"], [name], ["run", "--set", "\(name)=1"], ["stats", "--schema", name],
                ["import", name], ["items", "list", "--limit", "1"], ["result", name],
            ] {
                let ended = try program.run(words)
                texts.append(ended.out + ended.err)
            }
            let imported = try program.run(["import", "-"], input: "store_id,\(name)\n")
            texts.append(imported.err)
            for text in texts {
                let found = text.unicodeScalars.filter { $0 != "\n" && VisibleText.isHidden($0) }
                #expect(found.isEmpty, "\(text.debugDescription)")
            }
            #expect(texts.filter { $0.contains("a\\u202eb\\u200b") }.count > 12)
            let json = try run("result", "2", "--json")
            let result = try #require(
                try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any])
            #expect(result["store_id"] as? String == name && result["message"] as? String == name)
            #expect(try run("result", "2").contains("in a\\u202eb\\u200b; a\\u202eb\\u200b\n  enqueued "))
        }
    }

    @Test("a canceled job's sentence ends with the reason alone") func reason() async throws {
        try await withDatabase { database in
            let program = Program(database)
            _ = try program.run(["enqueue", "s", "a", "-1"])
            _ = try program.run(["cancel", "1", "--reason", "changed our mind"])
            let shown = try program.run(["result", "1"]).out
            #expect(shown.hasPrefix("job 1: canceled – adjust -1 of a in s; changed our mind\n  enqueued "))
        }
    }

    @Test("a path in a log line has plain slashes") func slashes() async throws {
        try await onThread {
            let running = try Program().start(["run", "--database-url", "postgresql:///x?host=/no/where"])
            #expect(eventually { running.errorText.contains("event=waiting_for_database") })
            running.send(SIGTERM)
            _ = try running.wait()
            #expect(running.errorText.contains("/no/where"))
        }
    }

    // MARK: widths

    @Test("a table is aligned by the columns that a terminal takes") func wideNames() {
        let text = table([["store", "n"], ["東京本店", "1"], ["e\u{301}", "2"], ["berlin", "30"]])
        #expect(
            text == """
                store      n
                東京本店   1
                e\u{301}          2
                berlin    30
                """)
        #expect("東京".padding(toWidth: 6) == "東京  ")
    }

    @Test(
        "a line is cut to columns",
        arguments: [
            ("abcdef", 6, "abcdef"), ("abcdef", 5, "abcd…"), ("東京本店", 7, "東京本…"), ("東京本店", 6, "東京…"), ("a", 0, ""),
        ])
    func cut(text: String, columns: Int, expected: String) {
        #expect(text.cut(toColumns: columns) == expected)
        #expect(displayColumns(text.cut(toColumns: columns)) <= columns)
    }

    @Test("a progress line fits the terminal", arguments: [40, 80] as [UInt16]) func progress(columns: UInt16)
        async throws
    {
        try await withDatabase { database in
            let terminal = try PseudoTerminal(columns: columns)
            var program = Program(database)
            program.environment["INPUT"] = "store_id,item_id,quantity"
            let ended = try program.runInShell(
                "import - --rows-per-commit 1000", "2>\(terminal.path)",
                before: "{ echo $INPUT; yes s,a,1 | head -n 3000; } | ")
            #expect(ended.code == 0)
            let run = try program.runInShell("run --drain --log-level error", "2>\(terminal.path)")
            #expect(run.code == 0)
            let text = terminal.read()
            let lines = text.components(separatedBy: "\r\u{1B}[K").map { $0.trimmingCharacters(in: .newlines) }
            #expect(lines.count > 3, "\(text.debugDescription)")
            #expect(lines.contains { $0.hasPrefix("jobs: ") } && lines.contains { $0.contains(" applied") })
            for line in lines { #expect(displayColumns(line) < columns, "\(line)") }
            #expect(columns > 40 || lines.contains { $0.hasSuffix("…") })
        }
    }

    @Test("a count has the noun's number") func counts() {
        #expect(counted(1, "job") == "1 job" && counted(2_000, "job") == "2,000 jobs" && counted(0, "key") == "0 keys")
        #expect(
            counted(1, "job waits", "jobs wait") == "1 job waits"
                && counted(3, "job waits", "jobs wait") == "3 jobs wait")
    }
}
