import CommandLineKit
import StockQueue
import StockQueuePostgres

enum VerifyCommand: Command {
    private static let json = Flag("json", help: "one JSON object for each check")

    static let spec = CommandSpec(
        "verify", "Proves the ledger: stock, results, notifications and queue agree.", options: [json],
        usesDatabase: true,
        examples: [.init("Check everything while workers run.")],
        notes: [
            "Reads every row on one snapshot, so that workers need not stop.",
            "Exit code 1 if anything is wrong, 3 if not everything could be checked.",
        ])

    private static let timeout = Duration.seconds(3_600)

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        try CheckFailure.seeingEverything(input, timeout: timeout, done: "verified") { connection, schema in
            try verify(input, Verifier(connection: connection, schema: schema))
        }
    }

    private static func verify(_ input: ParsedCommand, _ verifier: Verifier) throws -> ExitCode {
        var violations = 0
        try verifier.runAll { finding in
            violations += finding.violations.count
            if input[json] { Terminal.print(json(finding)) } else { print(finding) }
        }
        if !input[json] {
            Terminal.print(violations == 0 ? "nothing is wrong" : counted(violations, "violation"))
        }
        return violations == 0 ? .success : .failure
    }

    private static func print(_ finding: Verifier.Finding) {
        Terminal.print("\(finding.violations.isEmpty ? "ok   " : "WRONG") \(finding.check)")
        for violation in finding.violations { Terminal.print("      \(violation.printable)") }
        if finding.isCut { Terminal.print("      … and more") }
    }

    private static func json(_ finding: Verifier.Finding) -> JSON {
        [
            "check": .string(finding.check), "violations": .array(finding.violations.map { .string($0) }),
            "is_cut": .bool(finding.isCut),
        ]
    }
}
