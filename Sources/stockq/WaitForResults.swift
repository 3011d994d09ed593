import CommandLineKit
import StockQueue
import StockQueuePostgres

/// The options with which a command waits for the results of the jobs that it enqueued.
enum WaitForResults {
    private static let wait = Flag(
        "wait", help: "wait for the results and print them; exit code 0 only if all are applied or unchanged")
    private static let timeout = Option(
        "timeout", .duration, default: .seconds(60), help: "with --wait: the longest wait")

    static let parameters: [any Parameter] = [wait, timeout]

    /// Prints the results of the jobs.
    ///
    /// - Returns: nil without `--wait`.
    static func run(
        _ jobs: [Int64], _ connection: Connection, _ schema: QueueSchema, json: Bool, _ input: ParsedCommand
    ) throws -> ExitCode? {
        guard input[wait] else { return nil }
        do {
            return try printResults(of: jobs, connection, schema, json: json, input)
        } catch let error as PostgresError {
            Terminal.note("enqueued: \(jobList(jobs)); the results could not be read")
            throw error
        }
    }

    private static func printResults(
        of jobs: [Int64], _ connection: Connection, _ schema: QueueSchema, json: Bool, _ input: ParsedCommand
    ) throws -> ExitCode {
        let deadline = Deadline.after(milliseconds: input[timeout].milliseconds)
        let stop = StopSignal()
        var reader = ReconnectingReader(input, connection, schema, stop: stop)
        var areAllDone = true
        for job in jobs {
            let hasResult = try reader.read(until: deadline) { connection, schema in
                try Producer(connection: connection, schema: schema).awaitResult(
                    of: job, timeoutMs: deadline.remainingMs, stop: stop)
            }
            guard hasResult == true else {
                throw Failure(
                    "job \(job) is enqueued and has no result after \(input[timeout].text); is a worker running? See: stockq result \(job)"
                )
            }
            let found = try reader.read(until: deadline) { connection, schema in
                try Inspector(connection: connection, schema: schema).result(of: job)
            }
            guard let found, let result = found else { throw Failure("the result of job \(job) has expired") }
            Terminal.print(json ? result.json : result.value.sentence)
            if ![.applied, .unchanged].contains(result.value.outcome) { areAllDone = false }
        }
        return areAllDone ? .success : .failure
    }
}
