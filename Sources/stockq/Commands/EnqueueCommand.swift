import CommandLineKit
import StockModel
import StockQueue
import StockQueuePostgres

enum EnqueueCommand: Command {
    private static let store = Argument(.text("STORE"), help: "the store of the items")
    private static let item = Argument(.text("ITEM"), help: "the item")
    private static let quantity = Argument(quantityType, help: "whole units; below 0 to take stock away")
    private static let more = Argument(
        repeated: .text("ITEM QUANTITY"), count: 0...2 * (linesMax - 1),
        help: "further lines, enqueued in the same transaction", ifTooMany: "import a file with more lines")
    private static let quantityType = ValueType.wholeNumber(-Quantity.max...Quantity.max, "QUANTITY")
    private static let linesMax = 1_000

    private static let dryRun = Flag("dry-run", help: "show what the jobs would do now; enqueue nothing")
    private static let json = Flag("json", help: "print one JSON object a job")

    static let spec = CommandSpec(
        "enqueue", "Enqueues jobs of a store in one transaction and prints their ids.",
        arguments: [store, item, quantity, more],
        options: JobFieldOptions.parameters + [dryRun] + WaitForResults.parameters + [json],
        usesDatabase: true,
        examples: [
            .init("Take two shirts from the stock of Berlin.", "berlin", "shirt-m", "-2"),
            .init(
                "Enqueue an order of two lines, applied both or not at all.", "berlin", "shirt-m", "-1", "shirt-l",
                "-2",
                "--group", "order 1003"),
            .init(
                "Promise one to an order, only once, and show the result.", "berlin", "shirt-m", "1", "--action",
                "allocate", "--idempotency-key", "order 1001", "--wait"),
            .init("Show what a stock count would do.", "berlin", "shirt-m", "40", "--action", "set", "--dry-run"),
        ],
        notes: [
            "The options are those of every line; with several lines an idempotency key gets the number of the line: KEY/1, "
                + "KEY/2, ….",
            "A group is the jobs of one transaction, so --group needs all lines of the order in one call. For lines with "
                + "options of their own, import a file: stockq import - reads standard input.",
        ])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let (lines, delays) = try lines(input)
        try check(lines, delays, input)
        let (connection, schema) = try Database.open(input)
        if input[dryRun] { return try DryRunReport.print(lines, connection, schema, json: input[json]) }
        let receipts = try enqueue(lines, delays, Producer(connection: connection, schema: schema))
        noteDuplicates(receipts)
        let enqueued = zip(lines, receipts).filter { !$1.isDuplicate }.map(\.0.key)
        try UnknownItems.warn(enqueued, connection, schema)
        let jobs = receipts.map(\.jobID)
        if let code = try WaitForResults.run(jobs, connection, schema, json: input[json], input) { return code }
        for receipt in receipts {
            if input[json] {
                Terminal.print(["job_id": .integer(receipt.jobID), "is_duplicate": .bool(receipt.isDuplicate)])
            } else {
                Terminal.print(String(receipt.jobID))
            }
        }
        return .success
    }

    // MARK: lines

    /// The jobs; a field that was not given has its default.
    private static func lines(_ input: ParsedCommand) throws -> ([JobRequest], JobDelays) {
        var line = JobRequest(store: input[store], item: input[item], quantity: input[quantity])
        let delays = JobFieldOptions.set(in: &line, input)
        var lines = [line]
        var words = input[more][...]
        while let item = words.popFirst() {
            guard let word = words.popFirst() else {
                throw input.usageError("each further item needs its quantity, and '\(item.shown)' has none")
            }
            guard let quantity = quantityType.value(of: word) else {
                throw input.usageError("QUANTITY takes \(quantityType.expectation), not '\(word.shown)'")
            }
            line.itemID = item
            line.quantity = quantity
            lines.append(line)
        }
        return (lines, delays)
    }

    private static func check(_ lines: [JobRequest], _ delays: JobDelays, _ input: ParsedCommand) throws {
        for (index, line) in lines.enumerated() {
            do throws(ValidationError) {
                try line.validate()
            } catch {
                throw input.usageError(lines.count > 1 ? "line \(index + 1): \(error.message)" : error.message)
            }
        }
        if let run = delays.runAfterSeconds, let expiry = delays.expireAfterSeconds, expiry <= run {
            throw input.usageError(JobRequest.expiresBeforeItRuns.message)
        }
        if lines.count == 1 && lines[0].groupID != nil {
            throw input.usageError(
                """
                --group needs all lines of the group in one call, since each call is a transaction of its own and its \
                lines would be another group; give them as ITEM QUANTITY ITEM QUANTITY …, or import a file (a job on \
                its own needs no group)
                """)
        }
        if lines.count > 1, let key = lines[0].idempotencyKey, key.utf8.count > keyBytesMax {
            throw input.usageError("--idempotency-key takes 1 to \(keyBytesMax) bytes with several lines")
        }
    }

    /// Leaves room for a slash and the number of a line.
    private static let keyBytesMax = 195

    private static func enqueue(
        _ lines: [JobRequest], _ delays: JobDelays, _ producer: Producer
    ) throws -> [Receipt] {
        if lines.count == 1 { return [try producer.enqueue(lines[0], delays: delays)] }
        let key = lines[0].idempotencyKey
        let keyless = lines.map { line in
            var line = line
            line.idempotencyKey = nil
            return line
        }
        return try producer.enqueue(keyless, idempotencyKey: key, delays: delays)
    }

    private static func noteDuplicates(_ receipts: [Receipt]) {
        let duplicates = receipts.filter(\.isDuplicate)
        if duplicates.isEmpty { return }
        if receipts.count == 1 {
            return Terminal.note(
                "the idempotency key was used by job \(receipts[0].jobID) for the same request; nothing was enqueued")
        }
        Terminal.note(
            "the idempotency keys of \(counted(duplicates.count, "line")) were used for the same requests; "
                + "\(grouped(receipts.count - duplicates.count)) of \(counted(receipts.count, "line")) were enqueued")
    }
}

/// What jobs would do now.
private enum DryRunReport {
    static func print(
        _ jobs: [JobRequest], _ connection: Connection, _ schema: QueueSchema, json: Bool
    ) throws -> ExitCode {
        let answers = try DryRun.answers(to: jobs, connection: connection, schema: schema)
        for (job, answer) in zip(jobs, answers) {
            if json {
                Terminal.print(self.json(of: answer))
            } else if jobs.count == 1 {
                Terminal.print("\(sentence(of: answer)); nothing was enqueued")
            } else {
                Terminal.print("\(job.itemID.printable) \(grouped(job.quantity)): \(sentence(of: answer))")
            }
        }
        if !json && jobs.count > 1 { Terminal.print("nothing was enqueued") }
        return answers.allSatisfy { $0.outcome == .applied || $0.outcome == .unchanged } ? .success : .failure
    }

    private static func json(of answer: DryRun.Answer) -> JSON {
        [
            "would_be": .string(answer.summary), "applied_quantity": .integer(answer.appliedQuantity),
            "available_before": answer.before.map { .integer($0.available) } ?? .null,
            "available_after": answer.after.map { .integer($0.available) } ?? .null,
        ]
    }

    private static func sentence(of answer: DryRun.Answer) -> String {
        var stock = ""
        if let before = answer.before?.available, let after = answer.after?.available {
            stock = "; available \(changeText(before, after))"
        }
        return "would be: \(answer.summary)\(stock)"
    }
}
