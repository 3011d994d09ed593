import CommandLineKit
import StockQueue
import StockQueuePostgres

enum EnqueueCommand: Command {
    private static let store = Argument(.text("STORE"), help: "the item's store")
    private static let item = Argument(.text("ITEM"), help: "the item")
    private static let quantity = Argument(
        .wholeNumber(-Quantity.max...Quantity.max, "QUANTITY"), help: "whole units; below 0 to take stock away")

    private static let action = Option(
        "action", .choice("ACTION", of: StockAction.allCases), defaultText: "adjust", help: "what to do with the stock")
    private static let location = Option("location", .text("L"), defaultText: "main", help: "the item's location")
    private static let onInsufficient = Option(
        "on-insufficient", .choice("POLICY", of: InsufficientStockPolicy.allCases), defaultText: "reject",
        help: "what to do when too little is available")
    private static let group = Option(
        "group", .text("G"), help: "jobs of one group and one transaction are applied all together or not at all")
    private static let priority = Option(
        "priority", .wholeNumber(1...4), defaultText: "2", help: "1 is first, 4 is last")
    private static let runAt = Option(
        "run-at", .runTime, help: "not before this time (2026-03-01T12:00:00Z), or this long from now (+90s, +15m)")
    private static let expiresAt = Option("expires-at", .time(), help: "reject the job as expired after this time")
    private static let expectedAvailable = Option(
        "expected-available", .wholeNumber(-Quantity.max...Quantity.max),
        help: "reject the job as stale unless exactly this much is available")
    private static let orderingKey = Option(
        "ordering-key", .text("K"), defaultText: "the store", help: "jobs with the same key are applied in order")
    private static let silent = Flag("no-notify", help: "do not create a low-stock notification for this job")
    private static let maxAttempts = Option(
        "max-attempts", .wholeNumber(1...1_000), defaultText: "10", help: "attempts before the job ends as failed")
    private static let reason = Option("reason", .text("TEXT"), help: "kept in the result")
    private static let reference = Option(
        "reference", .text("TEXT"), help: "kept in the result, for instance an order's number")
    private static let idempotencyKey = Option(
        "idempotency-key", .text("K"), help: "of several jobs of a store with this key, one takes effect")
    private static let dryRun = Flag("dry-run", help: "show what the job would do now; enqueue nothing")
    private static let wait = Flag(
        "wait", help: "wait for the result and print it; exit code 0 only if applied or unchanged")
    private static let timeout = Option(
        "timeout", .duration, default: .seconds(60), help: "with --wait: the longest wait")
    private static let json = Flag("json", help: "print JSON")

    static let spec = CommandSpec(
        "enqueue", "Enqueues one job and prints its id.", arguments: [store, item, quantity],
        options: [
            action, location, onInsufficient, group, priority, runAt, expiresAt, expectedAvailable, orderingKey, silent,
            maxAttempts, reason, reference, idempotencyKey, dryRun, wait, timeout, json,
        ],
        usesDatabase: true,
        examples: [
            .init("Take two shirts from the stock of Berlin.", "berlin", "shirt-m", "-2"),
            .init(
                "Promise one to an order, only once, and show the result.", "berlin", "shirt-m", "1", "--action",
                "allocate", "--idempotency-key", "order 1001", "--wait"),
            .init("Show what a stock count would do.", "berlin", "shirt-m", "40", "--action", "set", "--dry-run"),
        ])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let fields = fields(input)
        if let problem = Producer.problem(with: fields) { throw input.usageError(problem.description) }
        let (connection, schema) = try Database.open(input)
        if input[dryRun] { return try printDryRun(fields, connection, schema, json: input[json]) }
        let producer = Producer(connection: connection, schema: schema)
        let receipt = try producer.enqueue(fields, delaySeconds: input[runAt]?.delay?.wholeSeconds)
        let job = receipt.jobID
        if receipt.isDuplicate {
            Terminal.note("the idempotency key was used by job \(job) for the same request; nothing was enqueued")
        }
        if input[wait] {
            return try printResult(of: job, producer, Inspector(connection: connection, schema: schema), input)
        }
        if input[json] {
            Terminal.print(["job_id": .integer(job), "is_duplicate": .bool(receipt.isDuplicate)])
        } else {
            Terminal.print(String(job))
        }
        return .success
    }

    /// The job's columns; a field that was not given has the table's default.
    private static func fields(_ input: ParsedCommand) -> [JobField: String] {
        var fields: [JobField: String] = [
            .storeID: input[store], .itemID: input[item], .quantity: String(input[quantity]),
        ]
        fields[.action] = input[action]?.rawValue
        fields[.locationID] = input[location]
        fields[.onInsufficient] = input[onInsufficient]?.rawValue
        fields[.groupID] = input[group]
        fields[.priority] = input[priority].map { String($0) }
        fields[.runAt] = input[runAt]?.time
        fields[.expiresAt] = input[expiresAt]
        fields[.expectedAvailable] = input[expectedAvailable].map { String($0) }
        fields[.orderingKey] = input[orderingKey]
        fields[.maxAttempts] = input[maxAttempts].map { String($0) }
        fields[.reason] = input[reason]
        fields[.reference] = input[reference]
        fields[.idempotencyKey] = input[idempotencyKey]
        if input[silent] { fields[.notify] = "false" }
        return fields
    }

    private static func printResult(
        of job: Int64, _ producer: Producer, _ inspector: Inspector, _ input: ParsedCommand
    ) throws -> ExitCode {
        guard try producer.awaitResult(of: job, timeoutMs: input[timeout].milliseconds, stop: StopSignal()) else {
            throw Failure(
                "job \(job) is enqueued and has no result after \(input[timeout].text); is a worker running? See: stockq result \(job)"
            )
        }
        guard let result = try inspector.result(of: job) else { throw Failure("the result of job \(job) has expired") }
        Terminal.print(input[json] ? result.json : result.value.sentence)
        return [.applied, .unchanged].contains(result.value.outcome) ? .success : .failure
    }

    private static func printDryRun(
        _ fields: [JobField: String], _ connection: Connection, _ schema: QueueSchema, json: Bool
    ) throws -> ExitCode {
        guard let answer = try DryRun.answer(to: fields, connection: connection, schema: schema) else {
            return .failure
        }
        let (before, after) = (answer.before?.available, answer.after?.available)
        if json {
            Terminal.print([
                "would_be": .string(answer.summary), "applied_quantity": .integer(answer.appliedQuantity),
                "available_before": before.map { .integer($0) } ?? .null,
                "available_after": after.map { .integer($0) } ?? .null,
            ])
        } else {
            var stock = ""
            if let before, let after { stock = "; available \(changeText(before, after))" }
            Terminal.print("would be: \(answer.summary)\(stock); nothing was enqueued")
        }
        return answer.outcome == .applied || answer.outcome == .unchanged ? .success : .failure
    }
}

/// When a job may run: a point in time, or a span from now by the database's clock.
private enum RunTime: Sendable {
    case at(String)
    case after(Duration)

    var time: String? { if case .at(let time) = self { time } else { nil } }

    var delay: Duration? { if case .after(let delay) = self { delay } else { nil } }
}

extension ValueType where Value == RunTime {
    fileprivate static var runTime: Self {
        Self("T", shape: .time, expectation: "a time like 2026-03-01T12:00:00Z, or a span from now like +90s or +15m") {
            word in
            word.hasPrefix("+") ? Duration(text: String(word.dropFirst())).map { .after($0) } : .at(word)
        }
    }
}
