import CommandLineKit
import StockQueue

enum ItemsImportCommand: Command {
    private static let setStock = Flag(
        "set-stock",
        help: "for items whose stock differs or that have queued jobs, enqueue a job that sets it to on_hand")
    private static let countedAt = Option(
        "counted-at", .time,
        help: "with --set-stock: when the stock was counted; what was sold and delivered since is kept")
    private static let dryRun = Flag(
        "dry-run", help: "show what the file would change now, line by line; write nothing")
    private static let csv = Flag("csv", help: "with --dry-run: print each line as CSV")
    private static let allowNegative = Flag("allow-negative", help: "take an opening stock below 0")
    private static let from = InputFormOptions.from([.shopifyInventory, .woocommerceProducts, .squareInventory])
    private static let json = Flag("json", help: "print the summary as JSON, with --dry-run an object a line")

    static let spec = CommandSpec(
        "items import", "Creates items with their opening stock, and changes the attributes of those that exist.",
        arguments: [InputFile.file],
        options: [from, setStock, countedAt, dryRun, allowNegative] + InputFormOptions.parameters
            + ImportNaming.parameters
            + [RejectsFile.rejects, csv, json],
        usesDatabase: true,
        examples: [
            .init("Load a catalog.", "items.csv"),
            .init(
                "Load a spreadsheet's file, and keep its bad lines for correction.", "stock.csv", "--map",
                "SKU=item_id",
                "--set", "store_id=berlin", "--ignore-unknown", "--rejects", "bad.csv"),
            .init(
                "Load the products of a shop system.", "products.csv", "--from", "woocommerce-products", "--set",
                "store_id=berlin"),
            .init("Bring the stock to the counts of a file.", "count.csv", "--set-stock"),
            .init(
                "Show what yesterday's counts would change, with what was sold since.", "count.csv", "--set-stock",
                "--counted-at", "2026-03-01T18:30:00+01:00", "--dry-run"),
        ],
        notes: [
            "Columns: \(ItemField.allCases.map(\.rawValue).joined(separator: ", ")).",
            "store_id, item_id and on_hand are required. Only attributes that have a column are changed.",
            InputFormOptions.note,
            "An item that is on two lines with different values is rejected on both.",
        ])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let file = try InputFile(input, from: from)
        let naming = try ImportNaming(input, file, .items)
        if input[countedAt] != nil && !input[setStock] {
            throw input.usageError("--counted-at is for stock counts: add --set-stock")
        }
        let listing = try ItemPreviewListing(isDryRun: input[dryRun], csv: input[csv], json: input[json], input)
        let (connection, schema) = try Database.open(input)
        let rejects = try RejectsFile(input, file, isListed: listing != nil)
        var importer = try ItemImport(
            connection: connection, schema: schema, source: file.source, form: file.form,
            setsStock: input[setStock], countedAt: input[countedAt], allowsNegativeStock: input[allowNegative],
            onProgress: { Terminal.showProgress("\(grouped($0.read)) read, \(grouped($0.created)) created") },
            onReject: { error, raw in
                try rejects.add(error, raw: raw)
                listing?.add(error)
            },
            onPreview: listing?.add)
        rejects.form = importer.rejectsForm
        // An import that the server refuses has no row.
        if listing == nil { try importer.checkPrivileges() }
        let record = try naming.begin(connection, schema, isDryRun: listing != nil)
        if let record { importer.keep(record) }
        listing?.begin()
        let report: ItemImportReport
        do {
            report = try importer.run()
        } catch {
            listing?.end()
            Terminal.endProgress()
            if let record { ImportNaming.stop(record, because: error, connection) { try Database.open(input).0 } }
            throw error
        }
        listing?.end()
        Terminal.clearProgress()
        InputFile.note(leftOut: importer.leftOut)
        rejects.noteRest()
        if report.endedInMidLine { Terminal.note(InputFile.unterminatedLastLine) }
        if listing != nil {
            Terminal.note("\(summary(report, countsStock: input[setStock], isDryRun: true)); nothing was changed")
        } else if let record {
            printSummary(
                report, leftOut: importer.leftOut, name: record.name, countsStock: input[setStock], json: input[json])
        }
        return report.rejected == 0 ? .success : .failure
    }

    /// What the file says of the stock of existing items is not done without --set-stock.
    private static func differences(_ report: ItemImportReport) -> String {
        if report.stockDifferences == 0 { return "" }
        let differ = report.stockDifferences == 1 ? "differs" : "differ"
        return "; \(grouped(report.stockDifferences)) \(differ) in stock (not changed; --set-stock enqueues counts)"
    }

    private static func printSummary(
        _ report: ItemImportReport, leftOut: [String: Int], name: String, countsStock: Bool, json: Bool
    ) {
        if json {
            Terminal.print([
                "import": .string(name), "read": .integer(report.read), "created": .integer(report.created),
                "changed": .integer(report.changed),
                "unchanged": .integer(report.unchanged), "rejected": .integer(report.rejected),
                "left_out": .integer(leftOut.values.reduce(0, +)),
                "set_jobs": .integer(report.setJobs), "stock_differs": .integer(report.stockDifferences),
            ])
            return
        }
        Terminal.print("\(summary(report, countsStock: countsStock)); import \(name.printable)")
    }

    private static func summary(_ report: ItemImportReport, countsStock: Bool, isDryRun: Bool = false) -> String {
        var counts = "; \(counted(report.setJobs, "stock count")) \(isDryRun ? "would change the stock" : "enqueued")"
        if report.rejectedCounts > 0 { counts += ", \(grouped(report.rejectedCounts)) would be rejected" }
        return
            "items: \(grouped(report.created)) created, \(grouped(report.changed)) changed, \(grouped(report.unchanged)) unchanged, "
            + "\(counted(report.rejected, "bad line"))" + (countsStock ? counts : differences(report))
    }
}
