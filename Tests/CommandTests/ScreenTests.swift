import CommandLineKit
import Foundation
import StockQueuePostgres
import TestSupport
import Testing
import stockq

/// Commands on a terminal: everything fits its width, times are local, colors can be switched off, and commands that
/// change many jobs ask.
@Suite struct ScreenTests {
    /// Runs a command with a terminal as input, output and error output.
    private static func screen(
        _ program: Program, _ words: String, columns: UInt16 = 80, answer: String? = nil, code: Int32 = 0
    ) throws -> String {
        let terminal = try PseudoTerminal(columns: columns)
        if let answer { terminal.enter(answer) }
        var program = program
        program.environment["TERM"] = "xterm"
        // The runner of the tests may have one.
        program.environment["NO_COLOR", default: ""] += ""
        let ended = try program.runInShell(words, "<\(terminal.path) >\(terminal.path) 2>&1")
        let text = terminal.read()
        #expect(ended.code == code, "stockq \(words): \(text)")
        return text
    }

    private static func lines(_ text: String) -> [String] {
        text.replacing(/\u{1B}\[[0-9;]*[mK]/, with: "").split(separator: "\n").map(String.init)
    }

    private static func shop(_ database: TestDatabase) throws {
        try database.run(
            """
            INSERT INTO stockq.items (store_id, item_id, on_hand, low_stock_threshold)
            VALUES ('s', 'a', 1000000, 500000), ('s', '東京タワー', 3, 5), ('s', 'none', 0, NULL);
            SELECT stockq.enqueue('s', 'a', -1, reference => 'order number ' || n, reason => 'sold at the counter',
                group_id => 'group ' || n) FROM generate_series(1, 3) AS n;
            SELECT stockq.enqueue('s', 'none', -1, reference => 'a reference of some length');
            SELECT stockq.enqueue('s', '東京タワー', -1);
            """)
        try database.drain()
        try database.run(
            """
            SELECT stockq.enqueue('s', 'a', -1, run_at => now() + interval '1 day', reference => 'later on ' || n)
            FROM generate_series(1, 2) AS n;
            SELECT stockq.set_store_limit('s', 1000);
            """)
    }

    static let commands = [
        "items list", "items show s a", "items show s 東京タワー", "jobs list", "results list", "result 1 2 3 4 5", "stats",
        "stats --by store", "stats --by lane", "stats --by item", "notifications", "changes", "operations list",
        "limits list", "grants list", "imports list", "verify", "verify --store s", "migrate --status", "alerts list",
        "tokens list", "clients list", "--help", "import --help", "items --help", "enqueue s a -1 --dry-run",
    ]

    @Test("what a command prints fits the terminal", arguments: [80, 60, 40] as [UInt16]) func fits(columns: UInt16)
        async throws
    {
        try await withDatabase { database in
            try Self.shop(database)
            for command in Self.commands {
                let text = try Self.screen(Program(database), command, columns: columns)
                for line in Self.lines(text) where displayColumns(line) > Int(columns) {
                    // A word or a call that is wider stays whole.
                    let words = line.split(separator: " ")
                    #expect(words.count <= 2 || columns < 60, "\(command) at \(columns): \(line)")
                }
            }
        }
    }

    @Test("a table that is too wide loses no value") func folded() {
        let table = TextTable(
            headings: ["id", "empty", "text", "extra", "long"],
            rows: [["1", "–", "東京", "x", "a long text of words"], ["20", "", "b", "y", "c"]], optional: [3])
        #expect(
            table.text(columns: nil, usesColor: false) == """
                id  empty  text  extra  long
                 1      –  東京  x      a long text of words
                20         b     y      c
                """)
        #expect(
            table.text(columns: 20, usesColor: false) == """
                id  text
                 1  東京
                    long: a long
                      text of words
                20  b
                    long: c
                """)
        #expect(
            table.text(columns: 34, usesColor: false) == """
                id  text  long
                 1  東京  a long text of words
                20  b     c
                """)
    }

    @Test("long texts are cut where that lets each row keep its line, and only on a terminal") func shortened() {
        let table = TextTable(
            headings: ["id", "text", "n"],
            rows: [["1", "a text that is longer than others", "10"], ["20", "b", "5"]], shortened: [1])
        #expect(
            table.text(columns: 26, usesColor: false) == """
                id  text                 n
                 1  a text that is lo…  10
                20  b                    5
                """)
        #expect(
            table.text(columns: 20, usesColor: false).contains("n: 10"), "what would be left of it says too little")
        #expect(table.text(columns: nil, usesColor: false).contains("longer than others"))
    }

    @Test("times are local to the second on a terminal, and exact elsewhere") func times() async throws {
        try await withDatabase { database in
            try Self.shop(database)
            var program = Program(database)
            program.environment["TZ"] = "Asia/Tokyo"
            let exact = try program.run(["changes"]).out
            #expect(exact.contains(/^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{3}Z/))
            let local = /[0-9]{4}-[0-9]{2}-[0-9]{2} ([0-9]{2}):[0-9]{2}:[0-9]{2}/
            let tokyo = try #require(try Self.screen(program, "changes").firstMatch(of: local))
            let utc = try #require(try Self.screen(program, "changes --utc").firstMatch(of: local))
            // The next day is not named.
            let later = try Self.screen(program, "result 6 --utc")
            #expect(
                later.contains(/scheduled for [0-9]{2}:[0-9]{2} \(in 24 h\)\n  enqueued [0-9-]{10} [0-9:]{8}\n/),
                "\(later)")
            let hours = try [tokyo, utc].map { try #require(Int($0.1)) }
            #expect((hours[0] - hours[1] + 24) % 24 == 9)
            #expect(try program.run(["results", "list"]).out.contains(/T[0-9:]{8}\.[0-9]{3}Z/))
        }
    }

    @Test("colors are for terminals, and NO_COLOR switches them off") func colors() async throws {
        try await withDatabase { database in
            try Self.shop(database)
            var program = Program(database)
            let escape = "\u{1B}[31mout\u{1B}[0m"
            let colored = try Self.screen(program, "items list")
            #expect(colored.contains(escape), "\(colored.debugDescription)")
            #expect(try !program.run(["items", "list"]).out.contains("\u{1B}"))
            program.environment["NO_COLOR"] = "1"
            let plain = try Self.screen(program, "items list")
            #expect(plain.contains("out") && !plain.contains("\u{1B}"))
        }
    }

    @Test("cancel of several jobs asks on a terminal, and changes nothing without yes") func questions() async throws {
        try await withDatabase { database in
            try Self.shop(database)
            let program = Program(database)
            let queued = { try database.value("SELECT count(*) FROM stockq.jobs") }
            let no = try Self.screen(program, "cancel 6 7", answer: "n", code: 1)
            #expect(no.contains("Cancel 2 jobs? [y/N]") && no.contains("nothing was changed"), "\(no)")
            #expect(try queued() == "2")
            #expect(try program.run(["cancel", "6", "7", "--dry-run"]).out.hasSuffix("nothing was changed\n"))
            #expect(try queued() == "2")
            #expect(
                try Self.screen(program, "cancel 6 7", answer: "yes").hasSuffix("2 jobs: queued → canceled: 6 7\n"))
            #expect(try queued() == "0")
            #expect(try database.value("SELECT count(*) FROM stockq.operations WHERE verb = 'cancel'") == "1")
        }
    }

    @Test("pause --all and retry --code ask on a terminal unless they need not") func moreQuestions() async throws {
        try await withDatabase { database in
            try Self.shop(database)
            let program = Program(database)
            #expect(
                try Self.screen(program, "pause --all", answer: "", code: 1).contains("Pause everything? 2 jobs wait."))
            #expect(try Self.screen(program, "pause --all --yes") == "everything: running → paused; 2 jobs wait\n")
            #expect(try Self.screen(program, "resume --all") == "everything: paused → running\n")
            #expect(
                try program.run(["pause", "--store", "s", "--dry-run"]).out
                    == "store s: running → paused; 2 jobs wait; nothing was changed\n")
            #expect(try database.value("SELECT count(*) FROM stockq.paused_stores") == "0")
            try database.run("SELECT stockq.enqueue('s', 'none', -1)")
            try database.drain()
            let dry = try program.run(["retry", "--code", "insufficient_stock", "--dry-run"]).out
            #expect(
                dry == """
                    job 4: rejected (insufficient_stock) → queued again – adjust -1 of none in s
                    job 8: rejected (insufficient_stock) → queued again – adjust -1 of none in s
                    2 jobs; nothing was changed

                    """)
            #expect(
                try Self.screen(program, "retry --code insufficient_stock", answer: "n", code: 1)
                    .contains("Enqueue 2 jobs again? [y/N]"))
            #expect(try database.value("SELECT count(*) FROM stockq.retries") == "0")
            #expect(
                try Self.screen(program, "retry --code insufficient_stock", answer: "y").hasSuffix(
                    "2 jobs queued again\n"))
            #expect(try database.value("SELECT count(*) FROM stockq.retries") == "2")
        }
    }

    @Test("a store that is not known is warned of") func unknownStores() async throws {
        try await withDatabase { database in
            try Self.shop(database)
            let warning = "warning: no item or job of store nostore; is the name right?\n"
            for words in [
                ["jobs", "list"], ["results", "list"], ["items", "list"], ["notifications"], ["changes"], ["verify"],
                ["pause"], ["retry", "--failed"],
            ] {
                #expect(try Program(database).run(words + ["--store", "nostore"]).err.contains(warning), "\(words)")
                #expect(try !Program(database).run(words + ["--store", "s", "--help"]).err.contains("warning"))
            }
            #expect(try Program(database).run(["jobs", "list", "--store", "s", "--state", "retrying"]).err == "")
        }
    }
}
