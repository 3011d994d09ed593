import CommandLineKit
import StockQueue

enum ImportsListCommand: Command {
    private static let kind = Option(
        "kind", .choice("KIND", of: ImportRecord.Kind.allCases), help: "only imports of jobs, or of items")
    private static let state = Option(
        "state", .choice("STATE", of: ImportList.State.allCases), help: "only imports in this state")
    private static let since = Option("since", .pastMoment, help: "only imports that were begun at this time or later")
    private static let until = Option("until", .pastMoment, help: "only imports that were begun before this time")
    private static let before = Option(
        "before", .wholeNumber(0...Int64.max, "IMPORT"), help: "only imports with a lower id, to continue a list")
    private static let limit = Option("limit", .wholeNumber(1...1_000_000), default: 100, help: "at most N imports")

    static let spec = CommandSpec(
        "imports list", "Lists imports of jobs and of items, the newest first.",
        options: [kind, state, since, until, limit, before] + RowTable.formats, usesDatabase: true,
        examples: [
            .init("List the imports that stopped, to be resumed.", "--kind", "jobs", "--state", "stopped"),
            .init("List the last week's imports.", "--since", "7d"),
        ],
        notes: [
            "A producer sees its own imports. The state of an import whose process was killed is interrupted. Its last "
                + "transaction was committed at the time in the column updated. One of jobs can be resumed; one of items is "
                + "run again."
        ])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        var list = ImportList(limit: input[limit])
        (list.kind, list.state) = (input[kind], input[state])
        (list.since, list.until, list.before) = (input[since], input[until], input[before])
        let (connection, schema) = try Database.open(input)
        let rows = try Inspector(connection: connection, schema: schema).rows(of: list)
        try listing.print(rows, input)
        try ListFilters.noteRest(rows, limit: input[limit], option: "--before", key: "import_id")
        return .success
    }

    private static let listing = RowTable(
        columns: [
            .init("import", "name"), .init("kind", "kind"), .init("state", "state"), .init("by", "imported_by"),
            .init("started") { $0.time("started_at") }, .init("updated") { $0.time("updated_at") },
            .init("lines") { $0.grouped("lines") }, .init("enqueued") { $0.grouped("enqueued") },
            .init("bad lines") { $0.grouped("rejected") },
        ],
        csvColumns: [
            "import_id", "name", "kind", "file_name", "sha256", "state", "imported_by", "started_at", "updated_at",
            "finished_at", "lines", "enqueued", "duplicates", "rejected", "created", "changed", "unchanged",
            "stock_differs", "through_line", "problem",
        ])
}

enum ImportsShowCommand: Command {
    private static let name = Argument(.text("NAME"), help: "the import's name")
    private static let json = Flag("json", help: "one JSON object")

    static let spec = CommandSpec(
        "imports show", "Shows an import, and what became of its jobs.", arguments: [name], options: [json],
        usesDatabase: true, examples: [.init("Show what became of a file.", "orders.csv-42")])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        var list = ImportList(limit: 1)
        (list.name, list.countsJobs) = (input[name], true)
        let (connection, schema) = try Database.open(input)
        let inspector = Inspector(connection: connection, schema: schema)
        guard let json = try inspector.rows(of: list).first else {
            throw try Failure.unknownImport(input[name], inspector)
        }
        Terminal.print(input[Self.json] ? json : try text(Row(json: json)))
        return .success
    }

    private static func text(_ row: Row) -> String {
        let isOfJobs = row["kind"] == "jobs"
        let ended = [row.time("finished_at"), row.printable("problem")].filter { !$0.isEmpty }
        let counts: [(label: String, column: String)] =
            isOfJobs
            ? [("enqueued", "enqueued"), ("duplicates", "duplicates")]
            : [
                ("created", "created"), ("changed", "changed"), ("unchanged", "unchanged"),
                ("differ in stock", "stock_differs"), ("stock counts", "enqueued"),
            ]
        var lines: [(String, String)] = [
            ("file", row["file_name"].isEmpty ? "standard input" : row.printable("file_name")),
            ("SHA-256", row["sha256"]),
            ("by", row.printable("imported_by")),
            ("started", row.time("started_at")),
            ended.isEmpty ? ("state", row["state"]) : (row["state"], ended.joined(separator: " ")),
            ("last line", row.grouped("through_line")),
            ("lines", row.grouped("lines")),
        ]
        lines += counts.map { ($0.label, row.grouped($0.column)) }
        lines.append(("bad lines", row.grouped("rejected")))
        let jobs = row.members("jobs")
        if !jobs.isEmpty { lines.append(("jobs now", jobs.map { "\($0.value) \($0.key)" }.joined(separator: ", "))) }
        let width = lines.map(\.0.count).max() ?? 0
        return
            ([row.printable("name") + " (\(row["kind"]))"]
            + lines.filter { !$0.1.isEmpty }.map { "  \($0.0.padding(toWidth: width))  \($0.1)" })
            .joined(separator: "\n")
    }
}

extension Failure {
    static func unknownImport(_ name: String, _ inspector: Inspector) throws -> Failure {
        let latest = try inspector.rows(of: ImportList(limit: 1_000)).map { try Row(json: $0)["name"] }
        // Many know the file, not the import of it.
        let ofFile = latest.filter { $0.hasPrefix(name + "-") && $0.dropFirst(name.count + 1).allSatisfy(\.isNumber) }
        if let last = ofFile.first {
            return Failure(
                "there is no import \(name.shownName) that this user may read; the last one of this file is \(last.shownName)"
            )
        }
        let suggestion = Suggestion.text(for: name, among: latest) { ImportNaming.word($0) }
        let hint = suggestion.isEmpty ? "; see: stockq imports list" : suggestion
        return Failure("there is no import \(name.shownName) that this user may read\(hint)")
    }
}
