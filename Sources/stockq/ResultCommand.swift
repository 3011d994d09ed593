import CommandLineKit
import StockModel
import StockQueue
import StockQueuePostgres

enum ResultCommand: Command {
    static let usage = Usage(
        command: "result", positionals: "JOB…", positionalCount: 1...1_000,
        summary: "Shows what became of jobs.",
        options: [
            Option("json", nil, "one JSON object a line: the row of the results, or of the queue with \"queued\": true")
        ],
        notes: "Exit code 1 if a job is not known.")

    static func run(_ arguments: Arguments) throws -> Int32 {
        let jobs = try arguments.positionals.map { Int64(try arguments.number($0, named: "JOB", in: 1...Int.max)) }
        let (connection, schema) = try Database.open(arguments)
        let inspector = Inspector(connection: connection, schema: schema)
        var areAllKnown = true
        for job in jobs {
            if let result = try inspector.result(of: job) {
                Terminal.print(arguments.has("json") ? result.json : sentence(result.value))
            } else if let queued = try inspector.job(job) {
                Terminal.print(
                    arguments.has("json") ? "{\"queued\":true," + queued.json.dropFirst() : sentence(queued.value))
            } else if let result = try inspector.result(of: job) {
                // It was finished between the two looks.
                Terminal.print(arguments.has("json") ? result.json : sentence(result.value))
            } else {
                Terminal.note("stockq result: job \(job) is not known: never enqueued, or its result has expired")
                areAllKnown = false
            }
        }
        return areAllKnown ? 0 : 1
    }

    /// A result as a sentence or two.
    static func sentence(_ result: JobResult) -> String {
        var text = "job \(result.jobId): \(result.outcome)"
        if let code = result.code { text += " (\(code))" }
        if let warning = result.warning { text += ", warning \(warning)" }
        text += " – \(result.action) \(grouped(result.quantity)) of \(result.itemId.printable)"
        if result.locationId != "main" { text += " at \(result.locationId.printable)" }
        text += " in \(result.storeId.printable)"
        if result.outcome == "applied" && result.appliedQuantity != result.quantity {
            text += ", \(grouped(result.appliedQuantity)) of it applied"
        }
        if let before = result.onHandBefore, let after = result.onHandAfter,
            let allocatedBefore = result.allocatedBefore,
            let allocatedAfter = result.allocatedAfter
        {
            text += "; available \(ItemsShowCommand.change(before - allocatedBefore, after - allocatedAfter))"
        }
        if let group = result.groupId { text += "; group \(group.printable)" }
        if let message = result.message { text += "; \(result.sqlstate ?? ""): \(message.printable)" }
        return text
    }

    private static func sentence(_ job: QueuedJob) -> String {
        var text =
            "job \(job.jobId): queued – \(job.action) \(grouped(job.quantity)) of \(job.itemId.printable) in \(job.storeId.printable)"
        if job.waitingSince != nil { text += ", waits for stock" }
        if job.runAt == "infinity" {
            text += ", its store is paused"
        } else if let runAt = job.runAt {
            text += ", looked at again at \(runAt)"
        }
        if job.attempts > 0 {
            text += ", \(job.attempts) of \(job.maxAttempts) attempts: \(job.lastError?.printable ?? "")"
        }
        return text
    }
}
