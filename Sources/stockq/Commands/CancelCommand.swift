import CommandLineKit
import StockQueue

enum CancelCommand: Command {
    private static let reason = Option("reason", .text("REASON"), help: "kept in the results")
    private static let importName = Option(
        "import", .text("NAME"), help: "the jobs of this import, instead of the options above")
    private static let json = Flag("json", help: "one JSON object a line for each job canceled")

    static let spec = CommandSpec(
        "cancel", "Cancels queued jobs; of a group, all its jobs.", arguments: [QueuedJobSelection.jobs],
        options: QueuedJobSelection.options + [importName, reason, json, Confirmation.dryRun, Confirmation.yes],
        usesDatabase: true,
        examples: [
            .init("Cancel two jobs and their groups.", "123", "124"),
            .init(
                "Cancel an order.", "--store", "berlin", "--reference", "order 1001", "--reason",
                "canceled by the customer"
            ),
            .init("Cancel what is left of a file that should not have been imported.", "--import", "orders.csv-42"),
            .init("See which jobs that would be.", "--store", "berlin", "--group", "order 1001", "--dry-run"),
        ],
        notes: [
            "A producer cancels jobs of the stores for which it has the scope enqueue.",
            "A job that a worker has finished is not canceled. Exit code 1 if nothing was canceled. Without --json only the first ids "
                + "are printed.",
            "On a terminal the command asks before it cancels several jobs.",
        ])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let target = try target(input)
        let (connection, schema) = try Database.open(input)
        let admin = QueueAdmin(connection: connection, schema: schema)
        let cancel: (QueueAdmin) throws -> [Int64]
        switch target {
        case .selection(let selection): cancel = { try $0.cancel(selection, reason: input[reason]) }
        case .importName(let name):
            let id = try ListFilters.importID(named: name, Inspector(connection: connection, schema: schema))
            cancel = { try $0.cancel(jobsOfImport: id, reason: input[reason]) }
        }
        if input[Confirmation.dryRun] || Confirmation.isNeeded(input) {
            let jobs = try admin.rehearse(cancel)
            if input[Confirmation.dryRun] {
                print(jobs, json: input[json], isDryRun: true)
                return jobs.isEmpty ? .failure : .success
            }
            if jobs.count > 1, !Confirmation.isGiven("Cancel \(counted(jobs.count, "job"))?") { return .failure }
        }
        let canceled = try cancel(admin)
        print(canceled, json: input[json], isDryRun: false)
        return canceled.isEmpty ? .failure : .success
    }

    private enum Target {
        case selection(QueueAdmin.Selection)
        case importName(String)
    }

    private static func target(_ input: ParsedCommand) throws -> Target {
        let isSelected = QueuedJobSelection.isGiven(input)
        guard let name = input[importName] else {
            if !isSelected {
                throw input.usageError("name jobs by their ids, or by --group, --reference, --key or --import")
            }
            return .selection(try QueuedJobSelection.selection(input))
        }
        if isSelected {
            throw input.usageError(
                "--import names the jobs; it goes without ids, --group, --reference, --key and --store")
        }
        return .importName(name)
    }

    private static func print(_ jobs: [Int64], json: Bool, isDryRun: Bool) {
        if json {
            let outcome = isDryRun ? "would_be_canceled" : "canceled"
            for job in jobs { Terminal.print(["job_id": .integer(job), "outcome": .string(outcome)]) }
        } else if jobs.isEmpty {
            Terminal.print("0 jobs canceled: no such job is queued")
        } else {
            Terminal.print(
                "\(counted(jobs.count, "job")): queued → canceled: \(jobList(jobs))"
                    + (isDryRun ? "; nothing was changed" : ""))
        }
    }
}
