import Foundation
import StockModel

/// Reads the records of an input, in any format, as fields by column.
package struct FieldReader<Column: RawRepresentable & CaseIterable & Hashable> where Column.RawValue == String {
    /// The columns of the input: of a CSV the header's, of NDJSON all that an object may have.
    package let columns: [Column]
    /// The header line with its break, for the file of rejects; empty for NDJSON.
    package let header: [UInt8]

    private let names: [String]
    private var reader: RecordReader
    private let format: InputFormat
    private let trims: Bool

    /// Reads the header of a CSV.
    ///
    /// - Parameter trims: remove white space at both ends of each field.
    /// - Throws: what is wrong with the input as a whole: it is empty, or its header has unknown, missing or duplicate
    ///   columns.
    package init(
        _ source: ByteSource, format: InputFormat, required: [Column], trims: Bool = false,
        recordBytesMax: Int = 1 << 20
    ) throws {
        self.format = format
        self.trims = trims
        reader = RecordReader(source: source, isCSV: format == .csv, recordBytesMax: recordBytesMax)
        if let problem = ForeignInput.problem(with: try reader.peek(ForeignInput.bytesNeeded), format) {
            throw ValidationError(problem)
        }
        guard format == .csv else {
            columns = Array(Column.allCases)
            names = columns.map(\.rawValue)
            header = []
            return
        }
        guard let record = try reader.next() else {
            throw ValidationError("the file is empty; a CSV begins with a header that names its columns")
        }
        if let problem = record.problem {
            throw ValidationError("the header: \(problem.message)", code: problem.code, line: record.line)
        }
        columns = try Self.columns(ofHeader: record, required: required)
        names = columns.map(\.rawValue)
        header = Array(record.raw)
    }

    /// The next record; nil at the end. Its fields are in the order of `columns`.
    package mutating func next() throws -> InputRecord? { try reader.next().map(withFields) }

    /// The next record, if it comes before a time.
    package mutating func next(until time: ContinuousClock.Instant?) throws -> RecordReading {
        switch try reader.next(until: time) {
        case .record(let record): .record(withFields(record))
        case .end: .end
        case .notYet: .notYet
        }
    }

    private func withFields(_ record: InputRecord) -> InputRecord {
        if record.problem != nil { return record }
        var record = record
        switch format {
        case .csv:
            if record.fields.count != columns.count {
                record.problem = ValidationError(
                    "\(record.fields.count) fields, the header has \(columns.count)", code: .malformed)
            }
        case .ndjson:
            do throws(ValidationError) {
                record.fields = try ObjectFields.read(record.fields[0], names)
            } catch {
                record.problem = error
            }
        }
        if trims && record.problem == nil { record.fields = record.fields.map(UTF8Text.trimmed) }
        return record
    }

    private static func columns(ofHeader record: InputRecord, required: [Column]) throws(ValidationError) -> [Column] {
        if record.fields.count == 1, let problem = ForeignInput.problem(withHeader: record.fields[0]) {
            throw ValidationError(problem, code: .malformed)
        }
        var columns: [Column] = []
        for field in record.fields {
            let name = String(decoding: field, as: UTF8.self).trimmingCharacters(in: .whitespaces)
            guard let column = Column(rawValue: name) else {
                let known = Column.allCases.map(\.rawValue).joined(separator: ", ")
                throw ValidationError(
                    "the header names an unknown column '\(ValidationError.shown(field))'; known are \(known)",
                    code: .unknownField)
            }
            if columns.contains(column) {
                throw ValidationError("the header names \(name) twice", code: .duplicateField, field: name)
            }
            columns.append(column)
        }
        for column in required where !columns.contains(column) {
            throw ValidationError(
                "the header lacks the column \(column.rawValue)", code: .required, field: column.rawValue)
        }
        return columns
    }
}
