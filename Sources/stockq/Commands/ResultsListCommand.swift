import CommandLineKit
import StockFormats
import StockQueue
import StockQueuePostgres

enum ResultsListCommand: Command {
    private static let outcome = Option(
        "outcome", .choice("OUTCOME", of: Outcome.allCases), help: "only results with this outcome")
    private static let code = Option(
        "code", .choice("CODE", of: ResultCode.allCases), help: "only results with this code")
    private static let since = Option("since", .pastMoment, help: "only jobs that were finished at this time or later")
    private static let until = Option("until", .pastMoment, help: "only jobs that were finished before this time")
    private static let before = Option(
        "before", .wholeNumber(0...Int64.max, "JOB"), help: "only jobs with a lower id, to continue a list")
    private static let limit = Option("limit", .wholeNumber(1...1_000_000), default: 100, help: "at most N results")

    private static let forImport = Flag(
        "for-import", help: "CSV that stockq import reads, with the outcome in the column _problem, to be corrected")

    static let spec = CommandSpec(
        "results list", "Lists results, the newest jobs first: what was applied, what was rejected, and why.",
        options: ListFilters.options
            + [
                outcome, code, since, until, limit, before, ListFollowing.follow, forImport,
            ] + RowTable.formats,
        usesDatabase: true,
        examples: [
            .init("List what was rejected today.", "--outcome", "rejected", "--since", "24h"),
            .init("List what was rejected of a file.", "--import", "day.csv-42", "--outcome", "rejected"),
            .init(
                "Write what was rejected of a file, to correct it and import it again.", "--import", "day.csv-42",
                "--outcome", "rejected", "--for-import"),
            .init("List the lines of an order.", "--store", "berlin", "--group", "order-1041"),
            .init("Write the failed jobs to a file.", "--outcome", "failed", "--csv"),
            .init("Watch what is rejected.", "--outcome", "rejected", "--follow"),
        ],
        notes: [
            "Indexes answer --group, --import, --outcome failed and --since. Other filters read results, the newest first, until the "
                + "limit is reached; --since bounds that.",
            "--follow shows the list, the oldest first, and then every new result once. Applied jobs come in the order of "
                + "stockq changes.",
            "With --for-import each line has the idempotency key '\(ResultList.correctionOf)N': the same file can be imported again, "
                + "and stockq retry leaves these jobs out. Jobs that were retried or corrected are not listed. What is rejected of the "
                + "corrected file is listed by the name of that import.",
        ])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        var list = ResultList(limit: input[limit])
        let filters = ListFilters(input)
        (list.store, list.item, list.location) = (filters.store, filters.item, filters.location)
        (list.group, list.reference, list.idempotencyKey) = (filters.group, filters.reference, filters.key)
        (list.outcome, list.code) = (input[outcome], input[code])
        (list.since, list.until, list.before) = (input[since], input[until], input[before])
        let follows = input[ListFollowing.follow]
        if follows && (list.until ?? nil != nil || list.before != nil) {
            throw input.usageError("--until and --before do not go with --follow")
        }
        if input[forImport] && (follows || input[RowTable.json] || input[RowTable.csv]) {
            throw input.usageError("--for-import goes without --follow, --json and --csv")
        }
        let (connection, schema) = try Database.open(
            input, timeout: follows ? ReconnectingReader.callTimeout : .seconds(300))
        let inspector = Inspector(connection: connection, schema: schema)
        list.importID = try filters.importID(inspector)
        list.leavesOutRetried = try input[forImport] && inspector.mayReadRetries()
        if follows { return try follow(list, input, connection, schema) }
        let rows = try inspector.rows(of: list)
        if input[forImport] {
            try importable.printCSV(rows, CSVForm(input, isCSV: true))
        } else {
            try listing.print(rows, input)
        }
        if rows.isEmpty { try UnknownStore.warn(filters.store, connection, schema) }
        try ListFilters.noteRest(rows, limit: input[limit], option: "--before", key: "job_id")
        return .success
    }

    private static func follow(
        _ list: ResultList, _ input: ParsedCommand, _ connection: Connection, _ schema: QueueSchema
    ) throws -> ExitCode {
        let inspector = Inspector(connection: connection, schema: schema)
        // Before the list is read: what is finished meanwhile is in both, and shown once.
        let start = try ListFollowing.mark(inspector)
        var cursor = try inspector.changeCursor(secondsAgo: nil)
        let rows = Array(try inspector.rows(of: list).reversed())
        try listing.print(rows, input)
        let showsApplied = (list.outcome ?? .applied) == .applied && list.code == nil
        let following = ListFollowing(
            input, listing,
            isBefore: { row, complete in
                guard let at = RFC3339.microsecondsSince2000(Array(row["finished_at"].utf8)[...]) else { return true }
                return Timestamp(microsecondsSince2000: at) < complete.at
            },
            read: { inspector, complete in
                var (list, rows, next): (ResultList, [String], ChangeCursor) = (list, [], cursor)
                list.limit = 1_000_000
                if showsApplied {
                    let changes = try inspector.changes(
                        after: cursor, limit: ListFollowing.pageMax, store: list.store)
                    list.jobs = changes.map(\.value.jobID)
                    rows += changes.isEmpty ? [] : try inspector.rows(of: list).reversed()
                    next = changes.last?.cursor ?? cursor
                }
                if list.outcome != .applied {
                    (list.jobs, list.leavesOutApplied, list.since) = (nil, true, .at(complete.at))
                    rows += try inspector.rows(of: list).reversed()
                }
                cursor = next  // nothing can fail any more
                return rows
            })
        try following.run(from: start, shown: rows, connection, schema)
        return .success
    }

    private static let importable = RowTable(
        columns: [],
        csvColumns: [NoteColumn.names[1]]
            + JobField.allCases.filter(\.definition.isKeptInResult).map(\.rawValue),
        csvValue: { row, column in
            switch column {
            case NoteColumn.names[1]:
                let code = row["code"].isEmpty ? "" : " (\(row["code"]))"
                return row["outcome"] + code + (row["message"].isEmpty ? "" : ": \(row["message"])")
            // Its own key may be used. By this one a second import of the file, and a retry, find the first.
            case JobField.idempotencyKey.rawValue: return ResultList.correctionOf + row["job_id"]
            default: return Row.jobValue(row, column)
            }
        })

    private static let listing = RowTable(
        columns: [
            .init("job", "job_id"), .init("finished") { $0.time("finished_at") },
            RowTable.Column("outcome") { $0["code"].isEmpty ? $0["outcome"] : "\($0["outcome"]) (\($0["code"]))" }
                .styled { row in
                    switch row["outcome"] {
                    case Outcome.failed.rawValue: .bad
                    case Outcome.rejected.rawValue: .warning
                    default: nil
                    }
                },
            .init("action", "action"), .init("quantity") { $0.grouped("quantity") }, .init("item") { $0.item },
            .init("on hand") { changeText($0.number("on_hand_before"), $0.number("on_hand_after")) },
            .init("group", "group_id"), RowTable.Column("reference", "reference").shortened,
            RowTable.Column("message") {
                [$0.printable("sqlstate"), $0.printable("message")].filter { !$0.isEmpty }.joined(separator: ": ")
            }.shortened,
        ],
        csvColumns: [
            "job_id", "finished_at", "outcome", "code", "warning", "store_id", "item_id", "location_id", "action",
            "quantity", "applied_quantity", "on_hand_before", "on_hand_after", "allocated_before", "allocated_after",
            "version", "group_id", "idempotency_key", "first_job_id", "retry_of", "reference", "reason", "actor",
            "occurred_at", "metadata", "counted_at", "enqueued_at", "attempts", "worker", "sqlstate", "message",
        ], csvValue: Row.jobValue)
}
