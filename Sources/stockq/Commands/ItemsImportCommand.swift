import CommandLineKit
import StockQueue

enum ItemsImportCommand: Command {
    private static let setStock = Flag(
        "set-stock",
        help: "for items whose stock differs or that have queued jobs, enqueue a job that sets it to on_hand")
    private static let allowNegative = Flag("allow-negative", help: "take an opening stock below 0")
    private static let from = InputFormOptions.from([.shopifyInventory, .woocommerceProducts, .squareInventory])
    private static let json = Flag("json", help: "print the summary as JSON")

    static let spec = CommandSpec(
        "items import", "Creates items with their opening stock, and changes the attributes of those that exist.",
        arguments: [InputFile.file],
        options: [from, setStock, allowNegative] + InputFormOptions.parameters + ImportNaming.parameters
            + [RejectsFile.rejects, json],
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
        let (connection, schema) = try Database.open(input)
        let rejects = try RejectsFile(input, file)
        var importer = try ItemImport(
            connection: connection, schema: schema, source: file.source, form: file.form,
            setsStock: input[setStock], allowsNegativeStock: input[allowNegative],
            onProgress: { Terminal.showProgress("\(grouped($0.read)) read, \(grouped($0.created)) created") },
            onReject: rejects.add)
        rejects.form = importer.rejectsForm
        let record = try naming.begin(connection, schema)
        importer.keep(record)
        let report: ItemImportReport
        do {
            report = try importer.run()
        } catch {
            Terminal.endProgress()
            ImportNaming.stop(record, because: error, connection) { try Database.open(input).0 }
            throw error
        }
        Terminal.endProgress()
        InputFile.note(leftOut: importer.leftOut)
        if report.endedInMidLine { Terminal.note(InputFile.unterminatedLastLine) }
        printSummary(
            report, leftOut: importer.leftOut, name: record.name, countsStock: input[setStock], json: input[json])
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
        Terminal.print(
            "items: \(grouped(report.created)) created, \(grouped(report.changed)) changed, \(grouped(report.unchanged)) unchanged, "
                + "\(counted(report.rejected, "bad line"))"
                + (countsStock ? "; \(grouped(report.setJobs)) stock counts enqueued" : differences(report))
                + "; import \(name.printable)")
    }
}
