import CommandLineKit
import StockFormats

/// How a command writes CSV: as RFC 4180 says, with LF at the end of a line, as `import` and `items import` read it.
struct CSVForm {
    static let delimiter = Option(
        "delimiter", .delimiter, default: Delimiter.comma, help: "what separates the fields of a CSV")
    static let mark = Flag(
        "byte-order-mark", help: "begin a CSV with one, by which spreadsheets see that it is UTF-8")
    static let options: [any Parameter] = [delimiter, mark]

    var delimiter = Delimiter.comma
    var hasMark = false

    init() {}

    /// - Parameter isCSV: the command writes CSV.
    init(_ input: ParsedCommand, isCSV: Bool) throws {
        if !isCSV && (input.isGiven(Self.delimiter) || input[Self.mark]) {
            throw input.usageError("--delimiter and --byte-order-mark are for CSV")
        }
        (delimiter, hasMark) = (input[Self.delimiter], input[Self.mark])
    }

    func heading(_ names: [String]) -> String { (hasMark ? "\u{FEFF}" : "") + line(names) }

    func line(_ fields: [String]) -> String {
        let separator = String(Unicode.Scalar(delimiter.byte))
        return fields.map(field).joined(separator: separator)
    }

    private func field(_ text: String) -> String {
        let isPlain = !text.utf8.contains { $0 == delimiter.byte || $0 == UInt8(ascii: "\"") || $0 < 0x20 }
        return isPlain ? text : "\"" + text.replacing("\"", with: "\"\"") + "\""
    }
}
