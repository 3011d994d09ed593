import CommandLineKit
import StockQueue
import StockQueuePostgres

enum JobsListCommand: Command {
    private static let state = Option(
        "state", .choice("STATE", of: JobList.State.allCases), defaultText: "all that have no result",
        help: "only jobs in this state as of now")
    private static let since = Option("since", .pastMoment, help: "only jobs that were enqueued at this time or later")
    private static let until = Option("until", .pastMoment, help: "only jobs that were enqueued before this time")
    private static let after = Option(
        "after", .wholeNumber(0...Int64.max, "JOB"), help: "only jobs with a higher id, to continue a list")
    private static let limit = Option("limit", .wholeNumber(1...1_000_000), default: 100, help: "at most N jobs")

    static let spec = CommandSpec(
        "jobs list", "Lists queued jobs, and failed ones, by their ids.",
        options: ListFilters.options
            + [state, since, until, limit, after, ListFollowing.follow] + RowTable.formats,
        usesDatabase: true,
        examples: [
            .init("List what waits for stock in Berlin.", "--store", "berlin", "--state", "waiting"),
            .init("Find the jobs of an order.", "--store", "berlin", "--reference", "order-1041"),
            .init("List what has failed.", "--state", "failed"),
            .init("Watch what a store enqueues.", "--store", "berlin", "--follow"),
        ],
        notes: [
            "Indexes answer --group and --import. The other filters read the queued jobs by their ids, up to the "
                + "limit.",
            "--follow shows a job if it is queued when the command looks, a few times a second. A job that workers finish "
                + "between two looks is in results list --follow.",
        ])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        var list = JobList(limit: input[limit])
        let filters = ListFilters(input)
        (list.store, list.item, list.location) = (filters.store, filters.item, filters.location)
        (list.group, list.reference, list.idempotencyKey) = (filters.group, filters.reference, filters.key)
        (list.state, list.since, list.until, list.after) = (input[state], input[since], input[until], input[after])
        let follows = input[ListFollowing.follow]
        let (connection, schema) = try Database.open(
            input, timeout: follows ? ReconnectingReader.callTimeout : .seconds(300))
        let inspector = Inspector(connection: connection, schema: schema)
        list.importID = try filters.importID(inspector)
        let start = follows ? try ListFollowing.mark(inspector) : nil
        let rows = try inspector.rows(of: list)
        try listing.print(rows, input)
        if rows.isEmpty { try UnknownStore.warn(filters.store, connection, schema) }
        try ListFilters.noteRest(rows, limit: input[limit], option: "--after", key: "job_id")
        if let start { try follow(list, input, from: start, shown: rows, connection, schema) }
        return .success
    }

    private static func follow(
        _ list: JobList, _ input: ParsedCommand, from start: CommitMark, shown: [String], _ connection: Connection,
        _ schema: QueueSchema
    ) throws {
        let following = ListFollowing(
            input, listing, isBefore: { ($0.number("job_id") ?? 0) <= $1.lastJob },
            read: { inspector, complete in
                var list = list
                (list.after, list.limit) = (max(list.after ?? 0, complete.lastJob), ListFollowing.pageMax)
                return try inspector.rows(of: list)
            })
        try following.run(from: start, shown: shown, connection, schema)
    }

    private static let listing = RowTable(
        columns: [
            .init("job", "job_id"),
            RowTable.Column("state") { $0["state"] == "finished" ? "failed" : $0["state"] }.styled {
                $0["state"] == "finished" ? .bad : nil
            },
            .init("action", "action"), .init("quantity") { $0.grouped("quantity") }, .init("item") { $0.item },
            .init("enqueued") { $0.time("enqueued_at") },
            .init("due") { $0["run_at"] == "infinity" ? "" : $0.time("run_at") },
            .init("group", "group_id"), RowTable.Column("reference", "reference").shortened,
            RowTable.Column("last error", "message").shortened,
        ],
        csvColumns: [
            "job_id", "state", "store_id", "item_id", "location_id", "action", "quantity", "on_insufficient",
            "priority", "group_id", "ordering_key", "idempotency_key", "reference", "reason", "actor", "occurred_at",
            "metadata", "counted_at", "enqueued_at", "run_at", "attempts", "max_attempts", "message",
        ], csvValue: Row.jobValue)
}
