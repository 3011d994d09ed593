import CommandLineKit
import Foundation
import StockFormats
import StockQueue
import StockQueuePostgres

enum ExportCommand: Command {
    private static let content = Argument<Export.Content>(
        .choice("WHAT", of: Export.Content.allCases), help: "results, items or notifications")
    private static let store = Option("store", .text("STORE"), help: "only rows of this store")
    private static let from = Option(
        "from", .pastMoment, help: "only what was finished, changed or written at this time or later")
    private static let until = Option(
        "to", .pastMoment, help: "only what was finished, changed or written before this time")
    private static let format = Option(
        "format", .choice("FORMAT", of: Export.Format.allCases), default: Export.Format.csv,
        help: "CSV with a heading, or one JSON object a line")

    static let spec = CommandSpec(
        "export", "Writes results, items or notifications to standard output, with all columns.",
        arguments: [content], options: [store, from, until, format] + CSVForm.options, usesDatabase: true,
        examples: [
            .init(
                "Write the results of October.", "results", "--from", "2026-10-01", "--to", "2026-11-01"),
            .init(
                "Write the items for a spreadsheet that separates fields by semicolons.", "items", "--delimiter",
                "semicolon", "--byte-order-mark"),
            .init("Write the items of a store as JSON.", "items", "--store", "berlin", "--format", "ndjson"),
        ],
        notes: [
            "Rows are written as they are read, so their number does not matter. They are of one moment. Results are in the order "
                + "of the job ids, items of their keys, notifications of their ids.",
            "The times of --from and --to are compared with finished_at of results, updated_at of items and created_at of "
                + "notifications. Times are in UTC.",
        ])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        var export = Export(input[content])
        let form = try CSVForm(input, isCSV: input[format] == .csv)
        export.format = input[format]
        (export.delimiter, export.hasMark) = (form.delimiter, form.hasMark)
        export.store = input[store]
        (export.from, export.until) = (input[from], input[until])
        let (connection, schema) = try Database.open(input)
        var output = ByteOutput(descriptor: STDOUT_FILENO, name: "standard output")
        do {
            let rows = try export.write(to: &output, connection, schema)
            Terminal.note(counted(rows, "row"))
            return .success
        } catch let error as OutputError where error.isBrokenPipe {
            // The reader of a pipe closed it on purpose.
            return .failure
        }
    }
}
