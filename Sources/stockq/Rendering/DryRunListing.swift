import CommandLineKit
import StockQueue

/// Prints what the lines of a file would do, in their order.
final class DryRunListing {
    private enum Style {
        case text, csv, json
    }

    private let style: Style
    /// Bad lines, found before the lines above them are decided: those from `printed` on are to be printed.
    private var badLines: [ValidationError] = []
    private var printed = 0
    /// The bad lines are in the order of their numbers.
    private var isSorted = true

    /// Bad lines that wait for the lines above them, which bounds the memory; more are printed as they come.
    private static let waitingMax = 100_000

    private static let columns = [
        "line", "store_id", "item_id", "location_id", "quantity", "outcome", "code", "applied_quantity",
        "available_before", "available_after", "problem",
    ]

    /// - Returns: nil where no lines were asked for.
    init?(lines: Bool, csv: Bool, json: Bool, isDryRun: Bool, _ input: ParsedCommand) throws {
        guard lines || csv else { return nil }
        if !isDryRun { throw input.usageError("--lines and --csv need --dry-run") }
        if csv && json { throw input.usageError("give --json or --csv, not both") }
        style = csv ? .csv : json ? .json : .text
    }

    /// Prints what comes before the lines.
    func begin() { if style == .csv { print(Self.columns) } }

    func add(_ error: ValidationError) {
        badLines.append(error)
        isSorted = false
        if badLines.count > Self.waitingMax { end() }
    }

    func add(_ line: Int, _ job: JobRequest, _ answer: DryRun.Answer) {
        printBadLines(before: line)
        let outcome = answer.outcome?.rawValue ?? "waits"
        let (before, after) = (answer.before?.available, answer.after?.available)
        switch style {
        case .text:
            let stock = before.flatMap { before in after.map { "; available \(before) → \($0)" } } ?? ""
            Terminal.print(
                "line \(line): \(answer.summary): \(job.storeID.printable)/\(job.itemID.printable) \(job.quantity)\(stock)"
            )
        case .csv:
            let numbers = [answer.appliedQuantity, before, after].map { $0.map { String($0) } ?? "" }
            let fields = [String(line), job.storeID, job.itemID, job.locationID, String(job.quantity), outcome]
            print(fields + [answer.code?.rawValue ?? ""] + numbers + [""])
        case .json:
            Terminal.print([
                "line": .integer(line), "store_id": .string(job.storeID), "item_id": .string(job.itemID),
                "location_id": .string(job.locationID), "quantity": .integer(job.quantity), "outcome": .string(outcome),
                "code": .stringOrNull(answer.code?.rawValue), "applied_quantity": .integer(answer.appliedQuantity),
                "available_before": before.map { .integer($0) } ?? .null,
                "available_after": after.map { .integer($0) } ?? .null,
            ])
        }
    }

    /// Prints what still waits.
    func end() { printBadLines(before: .max) }

    private func printBadLines(before line: Int) {
        if !isSorted {
            badLines.removeFirst(printed)
            printed = 0
            badLines.sort { ($0.line ?? 0) < ($1.line ?? 0) }
            isSorted = true
        }
        while printed < badLines.count, (badLines[printed].line ?? 0) < line {
            printBadLine(badLines[printed].line ?? 0, badLines[printed].message)
            printed += 1
        }
    }

    private func printBadLine(_ line: Int, _ problem: String) {
        switch style {
        case .text: Terminal.print("line \(line): bad line: \(problem)")
        case .csv: print([String(line)] + Array(repeating: "", count: 4) + ["bad_line", "", "", "", "", problem])
        case .json:
            Terminal.print(["line": .integer(line), "outcome": .string("bad_line"), "problem": .string(problem)])
        }
    }

    private func print(_ fields: [String]) { Terminal.print(exactly: CSVForm().line(fields)) }
}
