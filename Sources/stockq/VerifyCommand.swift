import CommandLineKit
import StockQueue

enum VerifyCommand: Command {
    static let usage = Usage(
        command: "verify", summary: "Proves the ledger: stock, results, notifications and queue agree.",
        options: [Option("json", nil, "one JSON object a check")],
        notes: "Reads everything there is, on one snapshot, so workers need not stop. Exit code 1 if anything is wrong."
    )

    static func run(_ arguments: Arguments) throws -> Int32 {
        let (connection, schema) = try Database.open(arguments, timeoutMs: 3_600_000)
        let verifier = Verifier(connection: connection, schema: schema)
        if !(try verifier.seesEverything()) {
            throw Failure(
                "row security shows this user a part of the rows, so nothing would be proved; verify as the owner of the tables, or as a reader or admin"
            )
        }
        var violations = 0
        try verifier.runAll { finding in
            violations += finding.violations.count
            if arguments.has("json") {
                Terminal.print(json(finding))
            } else {
                Terminal.print("\(finding.violations.isEmpty ? "ok   " : "WRONG") \(finding.check)")
                for violation in finding.violations { Terminal.print("      \(violation.printable)") }
                if finding.isCut { Terminal.print("      … and more") }
            }
        }
        if !arguments.has("json") {
            Terminal.print(violations == 0 ? "nothing is wrong" : "\(grouped(violations)) violations")
        }
        return violations == 0 ? 0 : 1
    }

    private static func json(_ finding: Verifier.Finding) -> String {
        let violations = finding.violations.map(quotedJSON).joined(separator: ",")
        return "{\"check\":\(quotedJSON(finding.check)),\"violations\":[\(violations)],\"is_cut\":\(finding.isCut)}"
    }
}
