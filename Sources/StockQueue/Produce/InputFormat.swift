import Foundation
import StockModel

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
package struct FieldReader<Column: RawRepresentable & CaseIterable & Hashable> where Column.RawValue == String {
    /// The columns that the input gives: of a CSV the header's, of NDJSON all that may stand in an object.
    package let columns: [Column]
    /// The header line with its break, for the file of rejects; empty for NDJSON.
    package let header: [UInt8]

    private var reader: RecordReader
    private let format: InputFormat

    /// Reads the header of a CSV.
    ///
    /// - Throws: a problem with the input as a whole: empty, or a header with unknown, missing or repeated columns.
    package init(
        _ source: ByteSource, format: InputFormat, required: [Column], recordBytesMax: Int = 1 << 20
    ) throws(ValidationError) {
        self.format = format
        reader = RecordReader(source: source, isCSV: format == .csv, recordBytesMax: recordBytesMax)
        guard format == .csv else {
            columns = Array(Column.allCases)
            header = []
            return
        }
        guard let record = try reader.next() else {
            throw ValidationError("the file is empty; a CSV begins with a header that names its columns")
        }
        if let problem = record.problem { throw ValidationError("line \(record.line), the header: \(problem)") }
        columns = try Self.columns(ofHeader: record, required: required)
        header = Array(record.raw)
    }

    /// The next record; nil at the end. Its fields are in the order of `columns`.
    package mutating func next() throws(ValidationError) -> InputRecord? {
        guard var record = try reader.next() else { return nil }
        if record.problem != nil { return record }
        switch format {
        case .csv:
            if record.fields.count != columns.count {
                record.problem = ValidationError("\(record.fields.count) fields, the header has \(columns.count)")
            }
        case .ndjson:
            do throws(ValidationError) {
                record.fields = try Self.fields(ofObject: record.fields[0], columns)
            } catch {
                record.problem = error
            }
        }
        return record
    }

    private static func columns(ofHeader record: InputRecord, required: [Column]) throws(ValidationError) -> [Column] {
        var columns: [Column] = []
        for field in record.fields {
            let name = String(decoding: field, as: UTF8.self).trimmingCharacters(in: .whitespaces)
            guard let column = Column(rawValue: name) else {
                let known = Column.allCases.map(\.rawValue).joined(separator: ", ")
                throw ValidationError(
                    "the header names an unknown column '\(JobRules.shown(field))'; known are \(known)")
            }
            if columns.contains(column) { throw ValidationError("the header names \(name) twice") }
            columns.append(column)
        }
        for column in required where !columns.contains(column) {
            throw ValidationError("the header lacks the column \(column.rawValue)")
        }
        return columns
    }

    private static func fields(
        ofObject line: ArraySlice<UInt8>, _ columns: [Column]
    ) throws(ValidationError) -> [ArraySlice<UInt8>] {
        var fields = [ArraySlice<UInt8>](repeating: [], count: columns.count)
        var isGiven = [Bool](repeating: false, count: columns.count)
        try JSONObject.read(line) { key, value throws(ValidationError) in
            guard let column = columns.firstIndex(where: { $0.rawValue.utf8.elementsEqual(key) }) else {
                let known = columns.map(\.rawValue).joined(separator: ", ")
                throw ValidationError("unknown key '\(JobRules.shown(key[...]))'; known are \(known)")
            }
            if isGiven[column] { throw ValidationError("\(columns[column].rawValue) stands twice in the object") }
            isGiven[column] = true
            switch value {
            case .null: break
            case .text(let text): fields[column] = text[...]
            case .structure: throw ValidationError("\(columns[column].rawValue) must not be an object or an array")
            }
        }
        return fields
    }
}
