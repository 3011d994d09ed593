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
        "since", .pastSpan, default: .seconds(86_400),
        help: "with --failed or --code: only jobs finished since then")
    private static let json = Flag("json", help: "one JSON object a line for each new job")

    static let spec = CommandSpec(
        "retry", "Enqueues failed, rejected or canceled jobs again, each once; of a group, all its jobs.",
        arguments: [jobs], options: [failed, code, store, since, json, Confirmation.dryRun, Confirmation.yes],
        usesDatabase: true,
        examples: [
            .init("Enqueue a job again.", "123"),
            .init(
                "Retry what was rejected for lack of stock in the last two hours.", "--code", "insufficient_stock",
                "--store", "berlin", "--since", "2h"),
            .init("See which jobs that would be.", "--code", "insufficient_stock", "--dry-run"),
        ],
        notes: [
            "Each new job has a link to the job that it retries. Exit code 1 if there was nothing to retry. Without --json "
                + "only the first \(linesMax) are printed.",
            "On a terminal the command asks before it enqueues several jobs that --failed or --code chose.",
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
        let retry = { (admin: QueueAdmin) in
            try words.isEmpty
                ? admin.retry(code: input[code], store: input[store], since: input[since].wholeSeconds)
                : admin.retry(ids)
        }
        let isDryRun = input[Confirmation.dryRun]
        if Confirmation.isNeeded(input) && words.isEmpty {
            let count = try admin.rehearse(retry).count
            if count > 1, !Confirmation.isGiven("Enqueue \(counted(count, "job")) again?") { return .failure }
        }
        let retried = try isDryRun ? admin.rehearse(retry) : retry(admin)
        if input[json] {
            printJSON(retried, isDryRun: isDryRun)
        } else {
            try printRetries(retried, Inspector(connection: connection, schema: schema), isDryRun: isDryRun)
        }
        if let store = input[store], retried.isEmpty { try UnknownStore.warn(store, connection, schema) }
        if retried.isEmpty {
            Terminal.note(
                "nothing to retry: no matching job, or all were already retried or corrected, or rejected for their "
                    + "idempotency key")
        }
        return retried.isEmpty ? .failure : .success
    }

    private static func printJSON(_ retries: [QueueAdmin.Retry], isDryRun: Bool) {
        for retry in retries {
            // Nothing is kept of the jobs of a dry run, so their ids say nothing.
            Terminal.print([
                "job_id": isDryRun ? .null : .integer(retry.jobID), "retry_of": .integer(retry.retryOf),
            ])
        }
    }

    /// `job 12: rejected (insufficient_stock) → queued as job 140 – adjust -4 of a in s`
    private static func printRetries(
        _ retries: [QueueAdmin.Retry], _ inspector: Inspector, isDryRun: Bool
    ) throws {
        let shown = retries.prefix(linesMax)
        let results = try inspector.results(of: shown.map(\.retryOf))
        let before = Dictionary(results.map { ($0.jobID, $0) }) { first, _ in first }
        for retry in shown {
            let result = before[retry.retryOf]
            Terminal.print(
                "job \(retry.retryOf): \(result?.outcomeText ?? "finished") → "
                    + (isDryRun ? "queued again" : "queued as job \(retry.jobID)")
                    + (result.map { " – \($0.requestText)" } ?? ""))
        }
        if retries.count > linesMax { Terminal.print("… and \(grouped(retries.count - linesMax)) more") }
        if isDryRun {
            Terminal.print("\(counted(retries.count, "job")); nothing was changed")
        } else if retries.count > 1 {
            Terminal.print("\(counted(retries.count, "job")) queued again")
        }
    }
}
