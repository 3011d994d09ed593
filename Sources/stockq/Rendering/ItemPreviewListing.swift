import CommandLineKit
import StockQueue

/// Prints what the lines of an items file would change: as text those that would change something, as CSV and JSON all.
final class ItemPreviewListing {
    private enum Style {
        case text, csv, json
    }

    private let style: Style
    /// Bad lines, which are found before the lines above them are compared.
    private var badLines: [ValidationError] = []
    /// So many wait for the lines above them, which bounds the memory.
    private static let waitingMax = 100_000

    private static let columns = [
        "line", "store_id", "item_id", "location_id", "item", "on_hand", "on_hand_after", "outcome", "code",
        "queued_jobs", "problem",
    ]

    /// - Returns: nil for an import that is no dry run.
    init?(isDryRun: Bool, csv: Bool, json: Bool, _ input: ParsedCommand) throws {
        guard isDryRun else {
            if csv { throw input.usageError("--csv needs --dry-run") }
            return nil
        }
        if csv && json { throw input.usageError("give --json or --csv, not both") }
        style = csv ? .csv : json ? .json : .text
    }

    /// Prints what comes before the lines.
    func begin() { if style == .csv { print(Self.columns) } }

    func add(_ error: ValidationError) {
        badLines.append(error)
        if badLines.count > Self.waitingMax { end() }
    }

    /// Prints what still waits.
    func end() { printBadLines(before: .max) }

    private func printBadLines(before line: Int) {
        let count = badLines.prefix { ($0.line ?? 0) < line }.count
        for error in badLines[..<count] { printBadLine(error) }
        badLines.removeFirst(count)
    }

    private func printBadLine(_ error: ValidationError) {
        let line = error.line ?? 0
        switch style {
        case .text: Terminal.print("line \(line): bad line: \(error.message)")
        case .csv:
            print([String(line)] + Array(repeating: "", count: 3) + ["bad_line", "", "", "", "", "", error.message])
        case .json:
            Terminal.print(["line": .integer(line), "item": .string("bad_line"), "problem": .string(error.message)])
        }
    }

    func add(_ preview: ItemPreview) {
        printBadLines(before: preview.line)
        let item = preview.item
        switch style {
        case .text: if preview.isDifference { Terminal.print(sentence(preview)) }
        case .csv:
            print([
                String(preview.line), item.storeID, item.itemID, item.locationID, preview.change.rawValue,
                preview.onHand.map { String($0) } ?? "", preview.onHandAfter.map { String($0) } ?? "",
                preview.outcome?.rawValue ?? "", preview.code?.rawValue ?? "", String(preview.queuedJobs), "",
            ])
        case .json:
            Terminal.print([
                "line": .integer(preview.line), "store_id": .string(item.storeID), "item_id": .string(item.itemID),
                "location_id": .string(item.locationID), "item": .string(preview.change.rawValue),
                "on_hand": preview.onHand.map { .integer($0) } ?? .null,
                "on_hand_after": preview.onHandAfter.map { .integer($0) } ?? .null,
                "outcome": .stringOrNull(preview.outcome?.rawValue), "code": .stringOrNull(preview.code?.rawValue),
                "queued_jobs": .integer(preview.queuedJobs),
            ])
        }
    }

    private func sentence(_ preview: ItemPreview) -> String {
        let item = preview.item
        var parts: [String] = []
        if preview.change == .created { parts.append("created, on hand \(grouped(item.onHand))") }
        if preview.change == .changed {
            let threshold = "threshold \(Self.shown(preview.threshold)) → \(Self.shown(item.lowStockThreshold))"
            parts.append(preview.changesThreshold ? threshold : "changed")
        }
        if preview.differsInStock, let onHand = preview.onHand {
            parts.append("on hand \(grouped(onHand)), the file has \(grouped(item.onHand)) (not changed)")
        }
        if preview.outcome == .applied, let before = preview.onHand, let after = preview.onHandAfter {
            parts.append("on hand \(grouped(before)) → \(grouped(after))")
        } else if preview.outcome == .rejected, let code = preview.code {
            parts.append("the count of \(grouped(item.onHand)) would be rejected: \(code.rawValue)")
        }
        if preview.outcome != nil && preview.queuedJobs > 0 {
            parts.append("\(counted(preview.queuedJobs, "queued job")) first")
        }
        let location = item.locationID == ItemKey.defaultLocation ? "" : "/\(item.locationID.printable)"
        return "line \(preview.line): \(item.storeID.printable)/\(item.itemID.printable)\(location): "
            + parts.joined(separator: "; ")
    }

    private static func shown(_ threshold: Int64?) -> String { threshold.map { grouped($0) } ?? "–" }

    private func print(_ fields: [String]) { Terminal.print(exactly: CSVForm().line(fields)) }
}
