import CommandLineKit
import StockFormats
import StockModel
import StockQueue
import StockQueuePostgres

enum EnqueueCommand: Command {
    private static let store = Argument(.text("STORE"), help: "the item's store")
    private static let item = Argument(.text("ITEM"), help: "the item")
    private static let quantity = Argument(
        .wholeNumber(-Quantity.max...Quantity.max, "QUANTITY"), help: "whole units; below 0 to take stock away")

    /// The one option whose words are not those of the field alone.
    private static let runAt = Option(
        "run-at", .runTime, help: "not before this time (2026-03-01T12:00:00Z), or this long from now (+90s, +15m)")
    private static let dryRun = Flag("dry-run", help: "show what the job would do now; enqueue nothing")
    private static let wait = Flag(
        "wait", help: "wait for the result and print it; exit code 0 only if applied or unchanged")
    private static let timeout = Option(
        "timeout", .duration, default: .seconds(60), help: "with --wait: the longest wait")
    private static let json = Flag("json", help: "print JSON")

    static let spec = CommandSpec(
        "enqueue", "Enqueues one job and prints its id.", arguments: [store, item, quantity],
        options: JobFieldOptions.parameters(except: .runAt) + [runAt, dryRun, wait, timeout, json],
        usesDatabase: true,
        examples: [
            .init("Take two shirts from the stock of Berlin.", "berlin", "shirt-m", "-2"),
            .init(
                "Promise one to an order, only once, and show the result.", "berlin", "shirt-m", "1", "--action",
                "allocate", "--idempotency-key", "order 1001", "--wait"),
            .init("Show what a stock count would do.", "berlin", "shirt-m", "40", "--action", "set", "--dry-run"),
        ])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let request = job(input)
        do throws(ValidationError) {
            try request.validate()
        } catch {
            throw input.usageError(error.description)
        }
        let (connection, schema) = try Database.open(input)
        if input[dryRun] { return try printDryRun(request, connection, schema, json: input[json]) }
        let producer = Producer(connection: connection, schema: schema)
        let receipt = try producer.enqueue(request, delaySeconds: input[runAt]?.delay?.wholeSeconds)
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

    /// The job; a field that was not given has its default.
    private static func job(_ input: ParsedCommand) -> JobRequest {
        var job = JobRequest(store: input[store], item: input[item], quantity: input[quantity])
        JobFieldOptions.set(in: &job, input, except: .runAt)
        job.runAtMicroseconds = input[runAt]?.microsecondsSince2000
        return job
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
        _ job: JobRequest, _ connection: Connection, _ schema: QueueSchema, json: Bool
    ) throws -> ExitCode {
        let answer = try DryRun.answers(to: [job], connection: connection, schema: schema)[0]
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
    case at(microsecondsSince2000: Int64)
    case after(Duration)

    var microsecondsSince2000: Int64? { if case .at(let microseconds) = self { microseconds } else { nil } }

    var delay: Duration? { if case .after(let delay) = self { delay } else { nil } }
}

extension ValueType where Value == RunTime {
    fileprivate static var runTime: Self {
        Self("T", shape: .time, expectation: "a time like 2026-03-01T12:00:00Z, or a span from now like +90s or +15m") {
            word in
            if word.hasPrefix("+") { return Duration(text: String(word.dropFirst())).map { .after($0) } }
            return RFC3339.microsecondsSince2000(Array(word.utf8)[...]).map { .at(microsecondsSince2000: $0) }
        }
    }
}
