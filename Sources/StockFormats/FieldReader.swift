import Foundation
import StockModel

/// Reads the records of an input, in any format, as fields by column.
package struct FieldReader<Column: InputColumn> {
    /// The fields of a record: of a CSV those of the header and those with a fixed value, of NDJSON all that an object
    /// may have.
    package let columns: [Column]
    /// The header line with its break and without a byte order mark, for the file of rejects; empty for NDJSON.
    package let header: [UInt8]
    /// The byte between the fields of a CSV.
    package let delimiter: UInt8
    /// The input is not plain UTF-8, or has a byte order mark: a file of rejects needs one too, for the same programs.
    package let hasMark: Bool
    /// How many records a preset left out, by the reason.
    package private(set) var leftOut: [String: Int] = [:]

    private var reader: RecordReader
    private let trims: Bool
    /// Of a CSV whose fields are the columns of its header, each in its place: how many there are.
    private let plainWidth: Int?
    /// Nil for NDJSON and for a plain CSV, whose records need none.
    private var plan: ColumnPlan<Column>?
    /// Of NDJSON: what is read of an object. Nil for a CSV.
    private let objects: ObjectFields<Column>?

    /// Reads the header of a CSV.
    ///
    /// - Throws: what is wrong with the input as a whole: it is empty, or its header has unknown, missing or duplicate
    ///   columns.
    package init(
        _ source: ByteSource, form: InputForm, required: [Column], recordBytesMax: Int = 1 << 20
    ) throws {
        trims = form.trims
        reader = RecordReader(source: source, isCSV: form.format == .csv, recordBytesMax: recordBytesMax)
        let first = try reader.peek(ForeignInput.bytesNeeded)
        let marked = TextEncoding(markIn: first)
        let encoding = marked ?? form.encoding ?? TextEncoding(zerosIn: first) ?? .utf8
        hasMark = marked != nil || encoding != .utf8
        // Not of a pipe: more of it may come much later.
        if encoding == .windows1252, source.position != nil,
            ForeignInput.isUTF8(try reader.peek(ForeignInput.lettersExamined))
        {
            throw ValidationError("the input is in UTF-8, not in Windows-1252: leave out --encoding windows-1252")
        }
        reader.decode(encoding, first: first)
        if let problem = ForeignInput.problem(with: try reader.peek(ForeignInput.bytesNeeded), form.format) {
            throw ValidationError(problem)
        }
        guard form.format == .csv else {
            columns = Array(Column.allCases)
            objects = try ObjectFields(form)
            (header, delimiter, plainWidth) = ([], 0, nil)
            return
        }
        let named = try reader.skipSeparatorLine()
        if let given = form.delimiter?.byte ?? named {
            delimiter = given
        } else {
            delimiter = Delimiter(ofHeader: try reader.peekLine()).byte
        }
        reader.separator = delimiter
        guard let record = try reader.next() else {
            throw ValidationError("the file is empty; a CSV begins with a header that names its columns")
        }
        if let problem = record.problem {
            throw ValidationError("the header: \(problem.message)", code: problem.code, line: record.line)
        }
        let plan = try ColumnPlan<Column>(header: record.fields, form: form, required: required)
        plainWidth = plan.isPlain ? plan.width : nil
        if !plan.isPlain { self.plan = plan }
        columns = plan.columns
        objects = nil
        let hasOwnMark = record.raw.starts(with: RecordReader.byteOrderMark)
        header = Array(hasOwnMark ? record.raw.dropFirst(RecordReader.byteOrderMark.count) : record.raw)
    }

    /// The next record; nil at the end. Its fields are in the order of `columns`.
    package mutating func next() throws -> InputRecord? {
        if case .record(let record) = try next(until: nil) { record } else { nil }
    }

    /// The next record, if it comes before a time.
    package mutating func next(until time: ContinuousClock.Instant?) throws -> RecordReading {
        while true {
            switch try reader.next(until: time) {
            case .end: return .end
            case .notYet: return .notYet
            case .record(var record):
                if record.problem != nil { return .record(record) }
                do throws(ValidationError) {
                    if try !setFields(of: &record) { continue }
                } catch {
                    record.problem = error
                }
                return .record(record)
            }
        }
    }

    /// - Returns: false for a record that is left out: by a preset, or as a row of empty fields, which a spreadsheet
    ///   writes for an empty row.
    private mutating func setFields(of record: inout InputRecord) throws(ValidationError) -> Bool {
        if let plainWidth {
            if record.isBlank { return false }
            try record.require(width: plainWidth)
        } else if let objects {
            record.fields = try objects.read(record.fields[0])
        } else {
            if record.isBlank { return false }
            if let reason = try plan?.apply(to: &record) {
                leftOut[reason, default: 0] += 1
                return false
            }
        }
        if trims { record.fields = record.fields.map(UTF8Text.trimmed) }
        return true
    }
}
