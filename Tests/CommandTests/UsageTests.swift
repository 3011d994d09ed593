import CommandLineKit
import Foundation
import TestSupport
import Testing
import stockq
import stockq_bench

/// Help, version, suggestions and mistakes of the command line.
@Suite struct UsageTests {
    static let commands = Main.program.commands

    // MARK: every command

    @Test("every command prints its help", arguments: commands.map(\.path)) func help(path: [String]) async throws {
        try await onThread {
            let words = [path + ["--help"], path + ["-h"], ["help"] + path, ["--help"] + path]
            let ended = try words.map { try Program().run($0) }
            for ended in ended {
                #expect(ended.code == 0)
                #expect(ended.out.hasPrefix("usage: stockq \(path.joined(separator: " "))"))
                #expect(ended.err == "")
            }
            #expect(Set(ended.map(\.out)).count == 1, "all ways to ask for help give the same")
        }
    }

    @Test("a command's help names its parameters, defaults and examples", arguments: commands.map(\.name))
    func helpIsComplete(name: String) throws {
        let spec = try #require(Self.commands.first { $0.name == name })
        let text = spec.helpText(program: "stockq", columns: 80)
        for info in (spec.arguments + spec.allOptions).map(\.info) {
            #expect(text.contains(info.synopsis))
            #expect(!info.help.isEmpty)
        }
        #expect(text.contains("examples:\n  # "))
        #expect(spec.summary.hasSuffix("."))
        for columns in [80, 60] {
            let lines = spec.helpText(program: "stockq", columns: columns).split(separator: "\n")
            // A word that is longer than a line stays whole.
            for line in lines where line.contains(/[^ ] [^ ]/) && !line.hasPrefix("usage") {
                #expect(
                    line.count <= columns || line.split(separator: " ").contains { $0.count > columns - 34 }, "\(line)")
            }
        }
    }

    @Test("every example is right usage of its command", arguments: commands.map(\.name))
    func examples(name: String) throws {
        let spec = try #require(Self.commands.first { $0.name == name })
        #expect(!spec.examples.isEmpty)
        for example in spec.examples {
            guard case .command(let input) = try Main.program.interpret(spec.path + example.words) else {
                Issue.record("\(example.words) is not a call of \(name)")
                continue
            }
            #expect(input.spec.path == spec.path)
        }
    }

    @Test("the reference page names every command and its options", arguments: commands.map(\.name))
    func reference(name: String) throws {
        let spec = try #require(Self.commands.first { $0.name == name })
        let page = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("../../docs/reference/cli.md")
        let rows = try String(contentsOf: page, encoding: .utf8).split(separator: "\n").filter {
            $0.contains("`stockq \(name)`") || $0.contains("`stockq \(name) ")
        }
        let row = try #require(rows.first, "no row of the page begins with the command")
        for option in spec.options { #expect(row.contains(option.info.label)) }
    }

    @Test("a spec is consistent", arguments: commands.map(\.name)) func consistency(name: String) throws {
        let spec = try #require(Self.commands.first { $0.name == name })
        let labels = (spec.arguments + spec.allOptions).map(\.info.label)
        #expect(Set(labels).count == labels.count, "each name is used once")
        #expect(spec.arguments.dropLast().allSatisfy { $0.info.count == 1...1 }, "only the last argument may repeat")
        #expect(Self.commands.count { $0.path == spec.path } == 1)
    }

    @Test("global options may precede the command", arguments: commands.map(\.name))
    func globalOptions(name: String) throws {
        let spec = try #require(Self.commands.first { $0.name == name })
        let words = try #require(spec.examples.first).words
        if spec.globalOptions.isEmpty {
            #expect(throws: UsageError.self) {
                try Main.program.interpret(["--schema", "x"] + spec.path + words)
            }
            return
        }
        for leading in [["--schema", "x"], ["--schema=x"], ["--pooled", "--schema", "x"]] {
            guard case .command(let input) = try Main.program.interpret(leading + spec.path + words) else {
                Issue.record("\(leading) does not precede \(name)")
                continue
            }
            #expect(input.spec.path == spec.path)
        }
    }

    // MARK: the program

    @Test("the overview lists every command") func overview() async throws {
        try await onThread {
            let asked = try Program().run(["--help"])
            #expect(asked.code == 0)
            for spec in Self.commands { #expect(asked.out.contains("\n  \(spec.name) ")) }
            #expect(try Program().run(["help"]).out == asked.out)
            let silent = try Program().run([])
            #expect(silent.code == 2)
            #expect(silent.err == asked.out)
        }
    }

    @Test("a family of commands has a help of its own") func family() async throws {
        try await onThread {
            let help = try Program().run(["items", "--help"])
            #expect(help.code == 0)
            #expect(help.out.hasPrefix("usage: stockq items SUBCOMMAND"))
            #expect(help.out.contains("  items list "))
            #expect(try Program().run(["help", "items"]).out == help.out)
        }
    }

    @Test("the version names the commit and the schema") func version() async throws {
        try await onThread {
            for word in ["-V", "version"] { #expect(try Program().run([word]).out == Main.version + "\n") }
            let ended = try Program().run(["--version"])
            #expect(ended.code == 0)
            let match = /stockq 0\.3\.0 \(commit ([0-9a-f]{7}(\+changes)?|unknown), schema [0-9]{4}_[a-z_]+\)\n/
            #expect(ended.out.wholeMatch(of: match) != nil, "\(ended.out)")
            #expect(ended.out == Main.version + "\n")
        }
    }

    @Test("a schema before the command is used") func schemaBeforeCommand() async throws {
        try await withDatabase { database in
            let words = [["--schema", "elsewhere", "stats"], ["stats", "--schema", "elsewhere"]]
            let ended = try words.map { try Program(database).run($0) }
            #expect(ended.allSatisfy { $0.code == 1 && $0.err == ended[0].err })
            #expect(ended[0].err.contains("elsewhere"))
        }
    }

    // MARK: mistakes

    struct Mistake: Sendable, CustomTestStringConvertible {
        var words: [String]
        var message: String

        init(_ words: String..., message: String) {
            self.words = words
            self.message = message
        }

        var testDescription: String { words.joined(separator: " ") }
    }

    static let mistakes = [
        Mistake("frobnicate", message: "stockq: unknown command 'frobnicate'\n"),
        Mistake("rsult", "1", message: "stockq: unknown command 'rsult'; did you mean 'result'?"),
        Mistake("help", "verfy", message: "unknown command 'verfy'; did you mean 'verify'?"),
        Mistake("items", message: "'items' needs a subcommand: import, list, show, set"),
        Mistake("items", "lst", message: "'items' has no subcommand 'lst'; did you mean 'items list'?"),
        Mistake("items", "frob", message: "'items' has no subcommand 'frob': import, list, show, set"),
        Mistake("--json", "stats", message: "stockq: unknown option --json"),
        Mistake("--schem", "x", "stats", message: "unknown option --schem; did you mean --schema?"),
        Mistake("--schema", message: "--schema needs a value: NAME"),
        Mistake("--schema", "x", "stats", "--schema", "y", message: "--schema is given twice"),
        Mistake("--schema", "x", "demo", message: "stockq demo: unknown option --schema"),
        Mistake("stats", "--frob", message: "stockq stats: unknown option --frob"),
        Mistake("stats", "--sinec", "1h", message: "unknown option --sinec; did you mean --since?"),
        Mistake("stats", "--json=yes", message: "--json takes no value"),
        Mistake("stats", "extra", message: "expected nothing, got extra"),
        Mistake("enqueue", "s", "a", message: "expected STORE ITEM QUANTITY [ITEM QUANTITY…], got s a"),
        Mistake("enqueue", "s", "a", "1", "--priority", message: "--priority needs a value: N"),
        Mistake(
            "enqueue", "s", "a", "1", "--priority", "9", message: "--priority takes a whole number from 1 to 4, not '9'"
        ),
        Mistake(
            "enqueue", "s", "a", "x",
            message: "QUANTITY takes a whole number from -9007199254740991 to 9007199254740991, not 'x'"),
        Mistake("enqueue", "s", "a", "1.5", message: "QUANTITY takes a whole number"),
        Mistake("enqueue", "s", "a", "9007199254740992", message: "to 9007199254740991, not '9007199254740992'"),
        Mistake(
            "enqueue", "s", "a", "0", "--action", "allocate", message: "quantity must be above 0 for allocate, not 0"),
        Mistake(
            "enqueue", "s", "a", "1", "--action", "steal",
            message: "--action takes one of adjust, allocate, deallocate, ship, set, not 'steal'"),
        Mistake(
            "enqueue", "s", "a", "1", "--on-insufficient", "x",
            message: "--on-insufficient takes one of reject, allow, partial, wait, not 'x'"),
        Mistake("enqueue", "", "a", "1", message: "store_id is empty"),
        Mistake(
            "enqueue", "s", String(repeating: "x", count: 201), "1",
            message: "item_id has 201 bytes, at most 200 are allowed"),
        Mistake(
            "enqueue", "s", "a", "1", "--run-at", "+x", message: "or a span from now like +90s or +15m, not '+x'"),
        Mistake(
            "enqueue", "s", "a", "1", "--run-at", "infinity",
            message:
                "--run-at takes a time like 2026-03-01T12:00:00Z, or a span from now like +90s or +15m, not 'infinity'"
        ),
        Mistake(
            "enqueue", "s", "a", "1", "--run-at", "٢٠٢٦-03-01T12:00:00Z",
            message: "--run-at takes a time like 2026-03-01T12:00:00Z"),
        Mistake(
            "enqueue", "s", "a", "1", "--expires-at", "tomorrow",
            message:
                "--expires-at takes a time like 2026-03-01T12:00:00Z, or a span from now like +90s or +15m, not 'tomorrow'"
        ),
        Mistake(
            "enqueue", "s", "a", "1", "--group", "g",
            message: "--group needs all lines of the group in one call"),
        Mistake(
            "enqueue", "s", "a", "1", "--group", "g", "--dry-run", message: "give them as ITEM QUANTITY ITEM QUANTITY …"
        ),
        Mistake("enqueue", "s", "a", "1", "b", message: "each further item needs its quantity, and 'b' has none"),
        Mistake("enqueue", "s", "a", "1", "b", "x", message: "QUANTITY takes a whole number from -9007199254740991"),
        Mistake("enqueue", "s", "a", "1", "", "1", message: "line 2: item_id is empty"),
        Mistake("notifications", "--after", "5:9", message: "--after takes a cursor like 1204-57, not '5:9'"),
        Mistake("notifications", "--after", "5", "--since", "1h", message: "give --since or --after, not both"),
        Mistake(
            "enqueue", "s", "a", "1", "--group", "g", "--ordering-key", "k",
            message: "group_id and ordering_key are mutually exclusive"),
        Mistake(
            "enqueue", "s", "a", "1", "--wait", "--timeout", "999999999d",
            message: "--timeout takes a span of time like 90s, 15m, 24h or 7d, not '999999999d'"),
        Mistake("run", "--workers", "0", message: "--workers takes a whole number from 1 to 64, not '0'"),
        Mistake("run", "--set", "speed", message: "--set takes NAME=VALUE, not 'speed'"),
        Mistake("run", "--set", "speed=9", message: "there is no setting speed"),
        Mistake(
            "run", "--set", "lockTimeout=x",
            message: "lockTimeout takes a duration from 1ms to 1m, such as 200ms, 5s, 15m, 24h or 7d, not 'x'"),
        Mistake("run", "--log-level", "x", message: "--log-level takes one of debug, info, warn, error, not 'x'"),
        Mistake("result", "x", message: "JOB takes a whole number"),
        Mistake("result", message: "expected JOB…, got nothing"),
        Mistake("stats", "--schema", "pg_x", message: "--schema takes a name of 1 to 54 bytes"),
        Mistake("items", "list", "--after", "a/b", message: "--after takes STORE/ITEM/LOCATION, not 'a/b'"),
        Mistake("items", "set", "s", "a", message: "give --threshold, --tracked or --parent"),
        Mistake("items", "set", "s", "a", "--tracked", "x", message: "--tracked takes yes or no, not 'x'"),
        Mistake(
            "limits", "set", "s", "0", message: "N|none takes a whole number from 1 to 100000000, or none, not '0'"),
        Mistake("cancel", message: "name jobs by their ids, or by --group, --reference, --key or --import"),
        Mistake("cancel", "--group", "g", message: "a group, a reference or a key belongs to a store: give --store"),
        Mistake(
            "cancel", "1", "--store", "s",
            message: "--store goes with --group, --reference or --key, not with job ids"),
        Mistake(
            "retry", "1", "--since", "1h",
            message: "--store and --since go with --failed or --code, not with job ids"),
        Mistake("retry", message: "name jobs by their ids, or give --failed, or --code"),
        Mistake("retry", "--code", "tired", message: "--code takes one of"),
        Mistake("pause", message: "give one of --store, --lane, --all"),
        Mistake("pause", "--lane", "64", message: "--lane takes a whole number from 0 to 63"),
        Mistake("transfer", "s", "a", "0", "x", "y", message: "QUANTITY takes a whole number from 1"),
        Mistake("grant", "p", message: "give --store"),
        Mistake(
            "grant", "p", "--store", "s", "--scope", "x", message: "--scope takes one of enqueue, read"),
        Mistake("import", "-", "--idempotency-prefix", "", message: "--idempotency-prefix takes 1 to 180 bytes"),
        Mistake("import", "-", "--format", "xml", message: "--format takes one of csv, ndjson, not 'xml'"),
    ]

    @Test("wrong usage is explained, with exit code 2", arguments: mistakes) func mistake(_ mistake: Mistake)
        async throws
    {
        try await onThread {
            let ended = try Program().run(mistake.words)
            #expect(ended.code == 2)
            #expect(ended.err.contains(mistake.message), "\(ended.err)")
            #expect(ended.err.contains("--help'"))
            #expect(ended.out == "")
        }
    }

    @Test("an argument that is not UTF-8 is wrong usage") func invalidUTF8() async throws {
        try await onThread {
            let ended = try Program().runInShell("enqueue s \"$(printf '\\377')\" 1", "")
            #expect(ended.code == 2)
            #expect(ended.err.hasPrefix("stockq: argument 3 is not valid UTF-8\n"), "\(ended.err)")
        }
    }

    // MARK: the bench

    @Test("the bench's examples are right usage, and its help names its options") func bench() throws {
        let spec = try #require(BenchCommand.program.commands.first)
        for example in spec.examples {
            guard case .command = try BenchCommand.program.interpret(example.words) else {
                Issue.record("\(example.words) is not a call")
                continue
            }
        }
        guard case .help(let text) = try BenchCommand.program.interpret(["--help"]) else {
            Issue.record("--help is not answered")
            return
        }
        #expect(text.hasPrefix("usage: stockq-bench [options]"))
        for option in spec.allOptions { #expect(text.contains(option.info.label)) }
        #expect(throws: UsageError.self) { try BenchCommand.program.interpret(["--only", "everything"]) }
    }
}
