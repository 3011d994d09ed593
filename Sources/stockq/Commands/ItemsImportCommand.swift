import CommandLineKit
import StockQueue

enum ItemsImportCommand: Command {
    private static let setStock = Flag(
        "set-stock",
        help: "for items whose stock differs or that have queued jobs, enqueue a job that sets it to on_hand")
    private static let json = Flag("json", help: "print the summary as JSON")

    static let spec = CommandSpec(
        "items import", "Creates items with their opening stock, and changes the attributes of those that exist.",
        arguments: [InputFile.file], options: [setStock, InputFile.trim, InputFile.format, RejectsFile.rejects, json],
        usesDatabase: true,
        examples: [
            .init("Load a catalog.", "items.csv"),
            .init("Bring the stock to the counts of a file.", "count.csv", "--set-stock"),
        ],
        notes: [
            "Columns: \(ItemField.allCases.map(\.rawValue).joined(separator: ", ")).",
            "The first three are required. A CSV's header names the columns. Only attributes that have a column are changed.",
            "An item that is on two lines with different values is rejected on both.",
        ])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let file = try InputFile(input)
        let (connection, schema) = try Database.open(input)
        let rejects = try RejectsFile(input, file)
        var importer = try ItemImport(
            connection: connection, schema: schema, source: file.source, format: file.format,
            setsStock: input[setStock], trims: input[InputFile.trim],
            onProgress: { Terminal.showProgress("\(grouped($0.read)) read, \(grouped($0.created)) created") },
            onReject: rejects.add)
        rejects.header = importer.header
        let report = try importer.run()
        Terminal.endProgress()
        if report.endedInMidLine { Terminal.note(InputFile.unterminatedLastLine) }
        printSummary(report, countsStock: input[setStock], json: input[json])
        return report.rejected == 0 ? .success : .failure
    }

    /// What the file says of the stock of existing items is not done without --set-stock.
    private static func differences(_ report: ItemImportReport) -> String {
        if report.stockDifferences == 0 { return "" }
        let differ = report.stockDifferences == 1 ? "differs" : "differ"
        return "; \(grouped(report.stockDifferences)) \(differ) in stock (not changed; --set-stock enqueues counts)"
    }

    private static func printSummary(_ report: ItemImportReport, countsStock: Bool, json: Bool) {
        if json {
            Terminal.print([
                "read": .integer(report.read), "created": .integer(report.created), "changed": .integer(report.changed),
                "unchanged": .integer(report.unchanged), "rejected": .integer(report.rejected),
                "set_jobs": .integer(report.setJobs), "stock_differs": .integer(report.stockDifferences),
            ])
            return
        }
        Terminal.print(
            "items: \(grouped(report.created)) created, \(grouped(report.changed)) changed, \(grouped(report.unchanged)) unchanged, "
                + "\(grouped(report.rejected)) rejected"
                + (countsStock ? "; \(grouped(report.setJobs)) stock counts enqueued" : differences(report)))
    }
}
