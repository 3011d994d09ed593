import Foundation
import StockFormats
import StockModel

/// Reads an import's input in chunks of several sizes and compares the records with those of a plain reader, which sees
/// the whole input at once and reads one byte at a time.
struct InputCheck<Column: InputColumn> {
    struct Record: Equatable {
        var line: Int
        var raw: [UInt8]
        /// Nil for a record that could not be read.
        var fields: [[UInt8]]?
        var isUnterminated: Bool
    }

    /// Small, so that short inputs exceed it.
    static var recordBytesMax: Int { 300 }

    var columns: [Column] = []
    /// After the header.
    var records: [InputRecord] = []
    /// What is wrong with the reading.
    var problem: String?

    init(_ bytes: [UInt8], _ format: InputFormat, required: [Column]) {
        let form = InputForm(format)
        let readings = [1, 7, 4_096].map { InputReading(bytes, form, required, chunk: $0) }
        columns = readings[0].columns
        records = readings[0].records
        let seen = readings.map(\.seen)
        if seen.contains(where: { $0 != seen[0] }) {
            problem = "read in chunks of 1, 7 and 4096 bytes it is \(seen)"
            return
        }
        // The target "files" is for other encodings.
        if PlainReader.isUTF16(bytes) || format == .csv && PlainReader.hasSeparatorLine(bytes) { return }
        let separator = format == .csv ? PlainReader.separator(of: bytes) : nil
        let plain = PlainReader(bytes, separator: separator, recordBytesMax: Self.recordBytesMax).records
        guard case .success(let mine) = seen[0] else {
            problem = Self.rejectionProblem(plain, required)
            return
        }
        guard format == .csv, let header = plain.first?.fields else {
            problem = Self.difference(mine, plain, format)
            return
        }
        problem = Self.difference(mine, Self.expected(plain.dropFirst(), header), format)
    }

    /// The records behind a header: without the columns of a file of rejects, and without rows of empty fields, which are
    /// blank lines.
    private static func expected(
        _ records: some Sequence<PlainReader.Record>, _ header: [[UInt8]]
    ) -> [PlainReader.Record] {
        let isNote = header.map { name in
            let name = String(decoding: name, as: UTF8.self).trimmingCharacters(in: .whitespaces)
            return ["_line", "_problem"].contains(name)
        }
        return records.compactMap { record in
            var record = record
            if record.fields?.allSatisfy(PlainRules.isBlank) == true { return nil }
            record.fields = record.fields.flatMap { fields in
                fields.count == header.count ? zip(fields, isNote).filter { !$0.1 }.map { $0.0 } : nil
            }
            return record
        }
    }

    /// A CSV is rejected as a whole only for its header.
    private static func rejectionProblem(_ plain: [PlainReader.Record], _ required: [Column]) -> String? {
        guard let header = plain.first?.fields else { return nil }
        let names = header.map { String(decoding: $0, as: UTF8.self) }
        let columns = names.compactMap { Column(rawValue: $0) }
        let isGood =
            columns.count == names.count && Set(columns).count == columns.count
            && Set(columns).isSuperset(of: required)
        return isGood ? "the header \(names) is rejected" : nil
    }

    private static func difference(_ mine: [Record], _ plain: [PlainReader.Record], _ format: InputFormat) -> String? {
        if mine.count != plain.count { return "\(mine.count) records, the plain reader has \(plain.count)" }
        for (record, expected) in zip(mine, plain) {
            // The members of an object are compared by the format's own check.
            let areEqual = format == .csv || expected.fields == nil ? record.fields == expected.fields : true
            if record.line != expected.line || record.raw != expected.raw
                || record.isUnterminated != expected.isUnterminated || !areEqual
            {
                return "the record is \(record), the plain reader has \(expected)"
            }
        }
        return nil
    }
}

/// What the program reads of an input that comes in chunks of a size.
struct InputReading<Column: InputColumn> {
    private(set) var columns: [Column] = []
    private(set) var records: [InputRecord] = []
    private(set) var leftOut = 0
    private var rejection: ValidationError?

    init(_ bytes: [UInt8], _ form: InputForm, _ required: [Column], chunk: Int) {
        // Short enough for a pipe to hold.
        var ends: [Int32] = [-1, -1]
        precondition(pipe(&ends) == 0 && write(ends[1], bytes, bytes.count) == bytes.count && close(ends[1]) == 0)
        defer { close(ends[0]) }
        do {
            var reader = try FieldReader(
                ByteSource(descriptor: ends[0], chunkBytes: chunk), form: form, required: required,
                recordBytesMax: InputCheck<Column>.recordBytesMax)
            columns = reader.columns
            while let record = try reader.next() { records.append(record) }
            leftOut = reader.leftOut.values.reduce(0, +)
        } catch let error as ValidationError {
            rejection = error
        } catch {
            preconditionFailure("\(error)")
        }
    }

    var seen: Result<[InputCheck<Column>.Record], ValidationError> {
        if let rejection { return .failure(rejection) }
        return .success(
            records.map { record in
                InputCheck<Column>.Record(
                    line: record.line, raw: Array(record.raw),
                    fields: record.problem == nil ? record.fields.map { Array($0) } : nil,
                    isUnterminated: record.isUnterminated)
            })
    }
}

/// The records of an input, found the slow way.
struct PlainReader {
    struct Record {
        var line: Int
        var raw: [UInt8]
        /// Nil for a record that cannot be read.
        var fields: [[UInt8]]?
        var isUnterminated: Bool
    }

    private(set) var records: [Record] = []

    /// - Parameter separator: nil for an input that is no CSV.
    init(_ bytes: [UInt8], separator: UInt8?, recordBytesMax: Int) {
        let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
        var start = 0
        while start < bytes.count {
            var quotes = 0
            let newline = bytes[start...].firstIndex { byte in
                if byte == UInt8(ascii: "\"") && separator != nil { quotes += 1 }
                return byte == UInt8(ascii: "\n") && quotes % 2 == 0
            }
            let isBroken = (newline ?? bytes.count) - start > recordBytesMax || newline == nil && quotes % 2 == 1
            let last = isBroken ? bytes[start...].firstIndex(of: UInt8(ascii: "\n")) : newline
            var raw = Array(bytes[start..<(last.map { $0 + 1 } ?? bytes.count)])
            var content = raw
            if start == 0 && content.starts(with: mark) { content.removeFirst(3) }
            if last != nil {
                content.removeLast()
                if content.last == UInt8(ascii: "\r") { content.removeLast() }
            }
            let lineStart = start
            let line = 1 + bytes[..<start].count { $0 == UInt8(ascii: "\n") }
            start += raw.count
            // Of a line that is too long only the beginning is kept.
            if (last ?? bytes.count) - lineStart > recordBytesMax { raw = Array(raw.prefix(recordBytesMax)) }
            if content.isEmpty && !isBroken { continue }
            records.append(
                Record(
                    line: line, raw: raw,
                    fields: isBroken ? nil : separator.map { Self.split(content, $0) } ?? [content],
                    isUnterminated: last == nil))
        }
    }

    /// Whether an input begins with the line by which Excel knows the separator.
    static func hasSeparatorLine(_ bytes: [UInt8]) -> Bool {
        let text = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? Array(bytes.dropFirst(3)) : bytes
        return text.starts(with: "sep=".utf8)
    }

    /// Whether an input begins as UTF-16 does.
    static func isUTF16(_ bytes: [UInt8]) -> Bool {
        [[0xFF, 0xFE], [0xFE, 0xFF]].contains(Array(bytes.prefix(2))) || bytes.prefix(2).contains(0)
    }

    /// The separator that the first line has most of outside of quotes: a comma, a semicolon, a tab or a bar.
    static func separator(of bytes: [UInt8]) -> UInt8 {
        let line = bytes.drop { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") }.prefix {
            $0 != UInt8(ascii: "\n")
        }
        let parts = line.split(separator: UInt8(ascii: "\""), omittingEmptySubsequences: false)
        let unquoted = parts.enumerated().filter { $0.offset % 2 == 0 }.flatMap { Array($0.element) }
        func count(_ separator: UInt8) -> Int { unquoted.count { $0 == separator } }
        let separators = Array(",;\t|".utf8)
        return separators.first { separator in separators.allSatisfy { count($0) <= count(separator) } }
            ?? separators[0]
    }

    private enum State { case start, plain, quoted, afterQuote }

    /// The fields of a CSV record; nil where a quote is in a wrong position.
    private static func split(_ content: [UInt8], _ separator: UInt8) -> [[UInt8]]? {
        var fields: [[UInt8]] = [[]]
        var state = State.start
        for byte in content {
            switch (state, byte) {
            case (.start, UInt8(ascii: "\"")): state = .quoted
            case (.quoted, UInt8(ascii: "\"")): state = .afterQuote
            case (.quoted, _): fields[fields.count - 1].append(byte)
            case (.afterQuote, UInt8(ascii: "\"")):
                fields[fields.count - 1].append(byte)
                state = .quoted
            case (_, separator):
                fields.append([])
                state = .start
            case (.afterQuote, _), (.plain, UInt8(ascii: "\"")): return nil
            default:
                fields[fields.count - 1].append(byte)
                state = .plain
            }
        }
        return fields
    }
}
