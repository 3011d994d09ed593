import CommandLineKit
import StockQueue

enum RetryCommand: Command {
    private static let jobs = JobIDs.argument(min: 0, help: "the ids of finished jobs")
    private static let failed = Flag("failed", help: "all failed jobs")
    private static let code = Option(
        "code", .choice("CODE", of: ResultCode.allCases), help: "all jobs that were rejected with this code")
    private static let store = Option(
        "store", .text("STORE"), help: "with --failed or --code: only jobs of this store")
    private static let since = Option(
        "since", .duration, default: .seconds(86_400),
        help: "with --failed or --code: only jobs finished within this span")
    private static let json = Flag("json", help: "one JSON object a line for each new job")

    static let spec = CommandSpec(
        "retry", "Enqueues failed, rejected or canceled jobs again, each once; of a group, all its jobs.",
        arguments: [jobs], options: [failed, code, store, since, json], usesDatabase: true,
        examples: [
            .init("Enqueue a job again.", "123"),
            .init(
                "Retry what was rejected for lack of stock in the last two hours.", "--code", "insufficient_stock",
                "--store", "berlin", "--since", "2h"),
        ],
        notes: [
            "Each new job has a link to the job that it retries. Exit code 1 if there was nothing to retry. Without --json "
                + "only the first \(linesMax) are printed."
        ])

    /// Lines of text that a call prints.
    private static let linesMax = 100

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let words = input[jobs]
        if [!words.isEmpty, input[failed], input.isGiven(code)].count(where: { $0 }) != 1 {
            throw input.usageError("name jobs by their ids, or give --failed, or --code")
        }
        if !words.isEmpty && (input.isGiven(store) || input.isGiven(since)) {
            throw input.usageError("--store and --since go with --failed or --code, not with job ids")
        }
        let ids = try JobIDs.read(words, input)
        let (connection, schema) = try Database.open(input)
        let admin = QueueAdmin(connection: connection, schema: schema)
        let retried =
            try words.isEmpty
            ? admin.retry(code: input[code], store: input[store], since: input[since].wholeSeconds) : admin.retry(ids)
        printRetries(retried, json: input[json])
        if retried.isEmpty {
            Terminal.note(
                "nothing to retry: no matching job, or all were already retried or rejected for their idempotency key")
        }
        return retried.isEmpty ? .failure : .success
    }

    private static func printRetries(_ retries: [QueueAdmin.Retry], json: Bool) {
        if json {
            for retry in retries {
                Terminal.print(["job_id": .integer(retry.jobID), "retry_of": .integer(retry.retryOf)])
            }
            return
        }
        for retry in retries.prefix(linesMax) {
            Terminal.print("job \(retry.retryOf) again as job \(retry.jobID)")
        }
        if retries.count > linesMax { Terminal.print("… and \(grouped(retries.count - linesMax)) more") }
    }
}
