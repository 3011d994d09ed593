import Foundation
import StockQueue

/// Imports a CSV of items.
///
/// - Parameter isPipe: the input can be read once only.
/// - Returns: the report, and what was rejected, as `LINE: REASON`.
public func importItems(
    _ database: TestDatabase, _ text: String, setsStock: Bool = false, trims: Bool = false, isPipe: Bool = false,
    countedAt: Int64? = nil, allowsNegativeStock: Bool = false, form: InputForm = InputForm()
) throws -> (ItemImportReport, rejects: [String]) {
    let path = NSTemporaryDirectory() + "stockq-items-\(UUID().uuidString)"
    try Data(text.utf8).write(to: URL(fileURLWithPath: path))
    defer { try? FileManager.default.removeItem(atPath: path) }
    guard let file = FileHandle(forReadingAtPath: path) else { throw CocoaError(.fileReadNoSuchFile) }
    let pipe = Pipe()
    if isPipe {
        try pipe.fileHandleForWriting.write(contentsOf: Data(text.utf8))
        try pipe.fileHandleForWriting.close()
    }
    let input = isPipe ? pipe.fileHandleForReading : file
    var rejects: [String] = []
    var form = form
    form.trims = trims
    var importer = try ItemImport(
        connection: database.connect(), schema: .standard, source: ByteSource(descriptor: input.fileDescriptor),
        form: form, setsStock: setsStock, countedAt: countedAt, allowsNegativeStock: allowsNegativeStock,
        onReject: { error, _ in rejects.append("\(error.line ?? 0): \(error.message)") })
    let report = try importer.run()
    return withExtendedLifetime((file, pipe)) { (report, rejects) }
}
