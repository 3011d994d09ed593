import CommandLineKit
import Foundation
import StockFormats
import StockQueuePostgres

/// A row of a table that PostgreSQL wrote as JSON, with its values as people read them.
struct Row: Sendable {
    private let object: JSONValue

    init(json: String) throws { object = try JSONReader.read(Array(json.utf8)[...]) }

    init(_ object: JSONValue) { self.object = object }

    /// The value as text; empty for null and for a missing column.
    subscript(column: String) -> String { Self.text(object[column] ?? .null) }

    /// Members of an object as `name value, name value`, elements of an array with blanks between them.
    private static func text(_ value: JSONValue, elementsMax: Int = .max) -> String {
        switch value {
        case .string(let text): text
        case .number(let number): number.plain
        case .bool(let value): value ? "true" : "false"
        case .array(let elements):
            elements.prefix(elementsMax).map { text($0, elementsMax: elementsMax) }.joined(separator: " ")
                + (elements.count > elementsMax
                    ? " … and \(CommandLineKit.grouped(elements.count - elementsMax)) more" : "")
        case .object(let members):
            members.map { "\($0.key) \(text($0.value, elementsMax: elementsMax))" }.joined(separator: ", ")
        case .null: ""
        }
    }

    /// The value as JSON; empty for null and for a missing column.
    func json(_ column: String) -> String {
        switch object[column] {
        case nil, .null?: ""
        case let value?: JSONWriter.text(of: value)
        }
    }

    /// Of a job or a result, as an import reads it.
    static let jobValue: @Sendable (Row, String) -> String = { $1 == "metadata" ? $0.json($1) : $0[$1] }

    func number(_ column: String) -> Int64? {
        if case .number(let number) = object[column] { number.int64 } else { nil }
    }

    /// The text as people read it: of a long list or a long text the beginning, invisible characters as escapes.
    func printable(_ column: String) -> String {
        Self.text(object[column] ?? .null, elementsMax: Self.elementsMax).printable(toColumns: Self.columnsMax)
    }

    /// Ids, references and reasons are whole. A value of megabytes would widen all rows.
    private static let columnsMax = 2_000
    private static let elementsMax = 100

    /// The number in groups of three digits, one beyond 64 bits without groups; `–` for null.
    func grouped(_ column: String) -> String {
        if let number = number(column) { return CommandLineKit.grouped(number) }
        let text = self[column]
        return text.isEmpty ? "–" : text
    }

    /// The time for people, as `Timestamp.shown`; empty for null.
    func time(_ column: String) -> String {
        let text = self[column]
        guard let microseconds = RFC3339.microsecondsSince2000(Array(text.utf8)[...]) else { return text }
        return Timestamp(microsecondsSince2000: microseconds).shown
    }

    /// Members of an object in their order, numbers in groups of three digits.
    func members(_ column: String) -> [(key: String, value: String)] {
        guard case .object(let members) = object[column] else { return [] }
        return members.map { member in
            if case .number(let number) = member.value, let count = number.int64 {
                return (member.key, CommandLineKit.grouped(count))
            }
            return (member.key, Self.text(member.value))
        }
    }

    /// The members of an object as a row of its own.
    func object(_ column: String) -> Row { Row(object[column] ?? .null) }

    /// The names of the members that have a value, in their order.
    var names: [String] {
        guard case .object(let members) = object else { return [] }
        return members.filter { $0.value != .null }.map(\.key)
    }

    /// The elements of an array as texts.
    func texts(_ column: String) -> [String] {
        if case .array(let elements) = object[column] { elements.map { Self.text($0) } } else { [] }
    }

    /// The elements of an array as rows.
    func objects(_ column: String) -> [Row] {
        if case .array(let elements) = object[column] { elements.map { Row($0) } } else { [] }
    }

    /// The item with its store, and with its location unless that is `main`: `berlin/mug`, `berlin/mug at cellar`.
    var item: String {
        let name = "\(printable("store_id"))/\(printable("item_id"))"
        return ["main", ""].contains(self["location_id"]) ? name : "\(name) at \(printable("location_id"))"
    }
}

/// How a command prints a list of rows.
struct RowTable: Sendable {
    /// A column for people.
    struct Column: Sendable {
        let heading: String
        let text: @Sendable (Row) -> String
        /// A narrow terminal does without it.
        var isOptional = false
        /// A narrow terminal shows the beginning.
        var isShortened = false
        /// The style of the text.
        var style: @Sendable (Row) -> TextStyle? = { _ in nil }

        init(_ heading: String, _ text: @escaping @Sendable (Row) -> String) {
            (self.heading, self.text) = (heading, text)
        }

        /// The text of one column of the row.
        init(_ heading: String, _ name: String) {
            self.init(heading) { $0.printable(name) }
        }

        var optional: Column {
            var column = self
            column.isOptional = true
            return column
        }

        var shortened: Column {
            var column = self
            column.isShortened = true
            return column
        }

        func styled(_ style: @escaping @Sendable (Row) -> TextStyle?) -> Column {
            var column = self
            column.style = style
            return column
        }
    }

    /// What is printed for people.
    let columns: [Column]
    /// The columns of the table that `--csv` prints.
    let csvColumns: [String]
    /// The value of one of them.
    var csvValue: @Sendable (Row, String) -> String = { $0[$1] }

    static let json = Flag("json", help: "one JSON object a line")
    static let csv = Flag("csv", help: "CSV with a header")
    /// How a list is printed.
    static let formats: [any Parameter] = [json, csv] + CSVForm.options

    /// Prints rows, and says so if there may be more than a limit.
    func print(_ rows: [String], _ input: ParsedCommand, limit: Int) throws {
        try print(rows, input)
        if rows.count == limit { Terminal.note("only the first \(grouped(limit)); --limit shows more") }
    }

    /// Prints rows that follow those of a list, each on a line of its own: without a heading, and without values that
    /// are missing.
    func printLines(_ rows: [String], _ input: ParsedCommand) throws {
        if input[Self.json] {
            for row in rows { Terminal.print(row) }
            return
        }
        let form = try CSVForm(input, isCSV: input[Self.csv])
        for row in try rows.map({ try Row(json: $0) }) {
            if input[Self.csv] {
                Terminal.print(exactly: form.line(csvColumns.map { csvValue(row, $0) }))
            } else {
                let texts = columns.map { $0.text(row) }.filter { !$0.isEmpty && $0 != "–" }
                Terminal.print(texts.joined(separator: "  "))
            }
        }
    }

    func print(_ rows: [String], _ input: ParsedCommand) throws {
        if input[Self.json] && input[Self.csv] { throw input.usageError("give --json or --csv, not both") }
        let form = try CSVForm(input, isCSV: input[Self.csv])
        if input[Self.json] {
            for row in rows { Terminal.print(row) }
            return
        }
        if input[Self.csv] { return try printCSV(rows, form) }
        Terminal.print(
            TextTable(
                headings: columns.map(\.heading),
                rows: try rows.map { json in
                    let row = try Row(json: json)
                    return columns.map { TextTable.Cell($0.text(row), style: $0.style(row)) }
                },
                optional: Set(columns.indices.filter { columns[$0].isOptional }),
                shortened: Set(columns.indices.filter { columns[$0].isShortened })))
    }

    func printCSV(_ rows: [String], _ form: CSVForm) throws {
        Terminal.print(exactly: form.heading(csvColumns))
        for json in rows {
            let row = try Row(json: json)
            Terminal.print(exactly: form.line(csvColumns.map { csvValue(row, $0) }))
        }
    }
}
