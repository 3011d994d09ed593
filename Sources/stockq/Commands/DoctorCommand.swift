import CommandLineKit
import StockQueue
import StockQueuePostgres

enum DoctorCommand: Command {
    private static let standard = Doctor.Limits()

    private static let workers = Option(
        "min-workers", .wholeNumber(0...10_000), default: Int(standard.workersMin), help: "connected workers, at least")
    private static let age = Option(
        "max-age", .duration, default: standard.ageMax, help: "how long a ready job may wait, and a subscription fail")
    private static let failed = Option(
        "max-failed", .wholeNumber(0...Int64.max, "N"), default: standard.failedMax,
        help: "jobs that failed and were not retried, or that are attempted again after an error, at most")
    private static let dead = Option(
        "max-dead", .wholeNumber(0...Int64.max, "N"), default: standard.deadMax,
        help: "deliveries that were given up, at most")
    private static let since = Option(
        "since", .pastSpan, default: standard.since, help: "count failed jobs and deliveries of this span")
    private static let pause = Option(
        "max-pause", .duration, default: standard.pauseMax, help: "how long a store or a lane may be paused")
    private static let transaction = Option(
        "max-transaction", .duration, default: standard.transactionMax, help: "how long a transaction may be open")
    private static let connections = Option(
        "max-connections", .wholeNumber(1...100, "PERCENT"), default: Int(standard.connectionsPercentMax),
        help: "connections in use, at most")
    private static let clock = Option(
        "max-clock-difference", .duration, default: standard.clockDifferenceMax,
        help: "between this machine and the server")
    private static let disk = Option(
        "min-disk", .wholeNumber(0...100, "PERCENT"), default: standard.freeDiskPercentMin,
        help: "free space of each of the server's disks, at least")
    private static let json = Flag("json", help: "one JSON object a finding")

    static let spec = CommandSpec(
        "doctor", "Says what an administrator has to act on; for cron and health checks.",
        options: [workers, age, failed, dead, since, pause, transaction, connections, clock, disk, json],
        usesDatabase: true,
        examples: [
            .init("Check with the usual limits."),
            .init("Look closely, when something is wrong now.", "--max-age", "30s", "--max-transaction", "10s"),
            .init("Check a queue that is drained once an hour.", "--min-workers", "0", "--max-age", "70m"),
        ],
        notes: [
            "Exit code 0 if there is no finding, 1 if there is one, 3 if the queue could not be checked.",
            "Disks are seen on the server's own machine, through its unix socket, by a role with pg_read_all_settings. The ledger is "
                + "proved by: stockq verify",
        ])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        try CheckFailure.seeingEverything(input, done: "checked") { connection, schema in
            try check(input, Doctor(connection: connection, schema: schema))
        }
    }

    private static func check(_ input: ParsedCommand, _ doctor: Doctor) throws -> ExitCode {
        let findings = try doctor.findings(limits(input))
        for finding in findings {
            if input[json] {
                Terminal.print(json(finding))
            } else {
                Terminal.print("\(finding.check): \(finding.text.printable)", style: .bad)
            }
        }
        if !(try doctor.seesAllSessions()) {
            Terminal.note(
                "transactions of other roles were not checked, because this role lacks the rights of pg_read_all_stats")
        }
        if findings.isEmpty && !input[json] { Terminal.print("nothing is wrong") }
        return findings.isEmpty ? .success : .failure
    }

    private static func limits(_ input: ParsedCommand) -> Doctor.Limits {
        var limits = Doctor.Limits()
        limits.workersMin = Int32(input[workers])
        (limits.ageMax, limits.since, limits.transactionMax) = (input[age], input[since], input[transaction])
        limits.pauseMax = input[pause]
        (limits.failedMax, limits.deadMax) = (input[failed], input[dead])
        limits.connectionsPercentMax = Int32(input[connections])
        limits.clockDifferenceMax = input[clock]
        limits.freeDiskPercentMin = input[disk]
        return limits
    }

    private static func json(_ finding: Doctor.Finding) -> JSON {
        ["check": .string(finding.check), "finding": .string(finding.text)]
    }
}
