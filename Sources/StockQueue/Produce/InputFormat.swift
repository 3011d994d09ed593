import Foundation

/// How the records of an input are written.
public enum InputFormat: String, Sendable, CaseIterable {
    /// RFC 4180 with a header line that names the columns.
    case csv
    /// One JSON object a line.
    case ndjson

    /// By the name's ending; nil when that says nothing.
    public init?(fileName: String) {
        switch (fileName as NSString).pathExtension.lowercased() {
        case "csv": self = .csv
        case "ndjson", "jsonl", "json": self = .ndjson
        default: return nil
        }
    }
}

/// Reads the records of an input as fields by column, whatever their format.
struct FieldReader<Column: RawRepresentable & CaseIterable & Hashable> where Column.RawValue == String {
    /// The columns that the input gives: of a CSV the header's, of NDJSON all that may stand in an object.
    let columns: [Column]
    /// The header line with its break, for the file of rejects; empty for NDJSON.
    let header: [UInt8]

    private var reader: RecordReader
    private let format: InputFormat

    /// Reads the header of a CSV.
    ///
    /// - Throws: a problem with the input as a whole: empty, or a header with unknown, missing or repeated columns.
    init(_ source: ByteSource, format: InputFormat, required: [Column]) throws(Problem) {
        self.format = format
        reader = RecordReader(source: source, isCSV: format == .csv)
        guard format == .csv else {
            columns = Array(Column.allCases)
            header = []
            return
        }
        guard let record = try reader.next() else {
            throw Problem("the file is empty; a CSV begins with a header that names its columns")
        }
        if let problem = record.problem { throw Problem("line \(record.line), the header: \(problem)") }
        columns = try Self.columns(ofHeader: record, required: required)
        header = Array(record.raw)
    }

    /// The next record; nil at the end. Its fields are in the order of `columns`.
    mutating func next() throws(Problem) -> InputRecord? {
        guard var record = try reader.next() else { return nil }
        if record.problem != nil { return record }
        switch format {
        case .csv:
            if record.fields.count != columns.count {
                record.problem = Problem("\(record.fields.count) fields, the header has \(columns.count)")
            }
        case .ndjson:
            do throws(Problem) {
                record.fields = try Self.fields(ofObject: record.fields[0], columns)
            } catch {
                record.problem = error
            }
        }
        return record
    }

    private static func columns(ofHeader record: InputRecord, required: [Column]) throws(Problem) -> [Column] {
        var columns: [Column] = []
        for (position, field) in record.fields.enumerated() {
            var name = String(decoding: field, as: UTF8.self).trimmingCharacters(in: .whitespaces)
            if position == 0 && name.hasPrefix("\u{FEFF}") { name.removeFirst() }  // a byte order mark
            guard let column = Column(rawValue: name) else {
                let known = Column.allCases.map(\.rawValue).joined(separator: ", ")
                throw Problem("the header names an unknown column '\(JobRules.shown(field))'; known are \(known)")
            }
            if columns.contains(column) { throw Problem("the header names \(name) twice") }
            columns.append(column)
        }
        for column in required where !columns.contains(column) {
            throw Problem("the header lacks the column \(column.rawValue)")
        }
        return columns
    }

    private static func fields(ofObject line: ArraySlice<UInt8>, _ columns: [Column]) throws(Problem) -> [ArraySlice<
        UInt8
    >] {
        let object: [String: JSONValue]
        do {
            object = try JSONDecoder().decode([String: JSONValue].self, from: Data(line))
        } catch {
            throw Problem("not a JSON object")
        }
        for key in object.keys where Column(rawValue: key) == nil {
            let known = columns.map(\.rawValue).joined(separator: ", ")
            throw Problem("unknown key '\(JobRules.shown(ArraySlice(key.utf8)))'; known are \(known)")
        }
        var fields: [ArraySlice<UInt8>] = []
        for column in columns {
            switch object[column.rawValue] {
            case nil, .null: fields.append([])
            case .text(let text): fields.append(ArraySlice(text.utf8))
            case .structure: throw Problem("\(column.rawValue) must not be an object or an array")
            }
        }
        return fields
    }
}

/// A JSON value as the text that a CSV would hold.
private enum JSONValue: Decodable {
    case null
    case text(String)
    case structure

    init(from decoder: any Decoder) throws {
        let value = try decoder.singleValueContainer()
        if value.decodeNil() {
            self = .null
        } else if let text = try? value.decode(String.self) {
            self = .text(text)
        } else if let number = try? value.decode(Int64.self) {
            self = .text(String(number))
        } else if let flag = try? value.decode(Bool.self) {
            self = .text(flag ? "true" : "false")
        } else if let number = try? value.decode(Double.self) {
            // JSON has one type of number, so 5.0 is 5; 5.5 stays what it is and is refused where it must be whole.
            let isWhole = number == number.rounded() && abs(number) <= Double(Quantity.max)
            self = .text(isWhole ? String(Int64(number)) : String(number))
        } else {
            self = .structure
        }
    }
}
