import CommandLineKit
import StockModel
import StockQueue
import StockQueuePostgres

enum EnqueueCommand: Command {
    static let usage = Usage(
        command: "enqueue", positionals: "STORE ITEM QUANTITY", positionalCount: 3...3,
        summary: "Enqueues one job and prints its id.",
        options: [
            Option("action", "A", "\(StockAction.list); default adjust"),
            Option("location", "L", "the item's location; default main"),
            Option(
                "on-insufficient", "P",
                "what to do when too little is available: \(InsufficientStockPolicy.list); default reject"),
            Option("group", "G", "jobs of one group are applied all together or not at all"),
            Option("priority", "N", "1 (first) to 4 (last); default 2"),
            Option("run-at", "T", "not before this time (2026-03-01T12:00:00Z), or this long from now (+90s, +15m)"),
            Option("expires-at", "T", "rejected as expired after this time"),
            Option("expected-available", "N", "rejected as stale unless exactly this much is available"),
            Option("ordering-key", "K", "jobs with the same key are applied in order; default: the store"),
            Option("no-notify", nil, "tell nothing about this job's change of the alert level"),
            Option("max-attempts", "N", "tries before the job is given up as failed; default 10"),
            Option("reason", "R", "kept in the result"),
            Option("reference", "R", "kept in the result, for instance an order's number"),
            Option("idempotency-key", "K", "of several jobs of a store with this key, one takes effect"),
            Option("dry-run", nil, "tell what the job would do now; enqueue nothing"),
            Option("wait", nil, "wait for the result and print it; exit code 0 only if applied or unchanged"),
            Option("timeout", "SPAN", "with --wait: how long; default 60s"),
            Option("json", nil, "print JSON"),
        ],
        notes: "A negative quantity is written as it is: stockq enqueue berlin shirt-m -2")

    private static let columns: [(option: String, column: JobField)] = [
        ("action", .action), ("location", .locationID), ("on-insufficient", .onInsufficient), ("group", .groupID),
        ("priority", .priority), ("run-at", .runAt), ("expires-at", .expiresAt),
        ("expected-available", .expectedAvailable),
        ("ordering-key", .orderingKey), ("max-attempts", .maxAttempts), ("reason", .reason), ("reference", .reference),
        ("idempotency-key", .idempotencyKey),
    ]

    static func run(_ arguments: Arguments) throws -> Int32 {
        var fields: [JobField: String] = [
            .storeID: arguments.positionals[0], .itemID: arguments.positionals[1], .quantity: arguments.positionals[2],
        ]
        for (option, column) in columns { fields[column] = arguments.text(option) }
        if arguments.has("no-notify") { fields[.notify] = "false" }
        var delay: Int64?
        if let text = fields[.runAt], text.hasPrefix("+") {
            guard let seconds = Arguments.seconds(String(text.dropFirst())) else {
                throw UsageError("--run-at +SPAN takes a span of time like +90s or +15m, not '\(text)'", usage)
            }
            delay = seconds
            fields[.runAt] = nil
        }
        let timeout = try arguments.seconds("timeout") ?? 60
        if let problem = Producer.problem(with: fields) { throw UsageError(problem.description, usage) }
        let (connection, schema) = try Database.open(arguments)
        if arguments.has("dry-run") { return try tellDryRun(fields, connection, schema, json: arguments.has("json")) }
        let producer = Producer(connection: connection, schema: schema)
        let receipt = try producer.enqueue(fields, delaySeconds: delay)
        let job = receipt.jobID
        if receipt.isDuplicate {
            Terminal.note("the idempotency key was used by job \(job) for the same request; nothing was enqueued")
        }
        guard arguments.has("wait") else {
            Terminal.print(
                arguments.has("json") ? "{\"job_id\":\(job),\"is_duplicate\":\(receipt.isDuplicate)}" : String(job))
            return 0
        }
        let stop = StopSignal()
        guard try producer.awaitResult(of: job, timeoutMs: Int(timeout) * 1_000, stop: stop) else {
            throw Failure(
                "job \(job) is enqueued, and has no result after \(timeout) s; is a worker running? See: stockq result \(job)"
            )
        }
        guard let result = try Inspector(connection: connection, schema: schema).result(of: job) else {
            throw Failure("the result of job \(job) has vanished")
        }
        Terminal.print(arguments.has("json") ? result.json : ResultCommand.sentence(result.value))
        return ["applied", "unchanged"].contains(result.value.outcome) ? 0 : 1
    }

    private static func tellDryRun(
        _ fields: [JobField: String], _ connection: Connection, _ schema: QueueSchema, json: Bool
    ) throws -> Int32 {
        guard let answer = try DryRun.answer(to: fields, connection: connection, schema: schema) else { return 1 }
        let (before, after) = (answer.before?.available, answer.after?.available)
        if json {
            Terminal.print(
                "{\"would_be\":\"\(answer.summary)\",\"applied_quantity\":\(answer.appliedQuantity),"
                    + "\"available_before\":\(before.map { String($0) } ?? "null"),"
                    + "\"available_after\":\(after.map { String($0) } ?? "null")}")
        } else {
            var stock = ""
            if let before, let after { stock = "; available \(ItemsShowCommand.change(before, after))" }
            Terminal.print("would be: \(answer.summary)\(stock); nothing was enqueued")
        }
        return answer.outcome == .applied || answer.outcome == .unchanged ? 0 : 1
    }
}
