import Foundation
import StockFormats
import StockModel

/// Reads an import's input in chunks of several sizes and compares the records with those of a plain reader, which sees
/// the whole input at once and reads one byte at a time.
struct InputCheck<Column: RawRepresentable & CaseIterable & Hashable> where Column.RawValue == String {
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
        let readings = [1, 7, 4_096].map { Self.read(bytes, format, required, chunk: $0) }
        columns = readings[0].columns
        records = readings[0].records
        let seen = readings.map(\.seen)
        if seen.contains(where: { $0 != seen[0] }) {
            problem = "read in chunks of 1, 7 and 4096 bytes it is \(seen)"
            return
        }
        let plain = PlainReader(bytes, isCSV: format == .csv, recordBytesMax: Self.recordBytesMax).records
        guard case .success(let mine) = seen[0] else {
            problem = Self.rejectionProblem(plain, required)
            return
        }
        let expected = format == .csv ? Array(plain.dropFirst()) : plain
        problem = Self.difference(mine, expected, format, fieldCount: columns.count)
    }

    private struct Reading {
        var columns: [Column] = []
        var records: [InputRecord] = []
        var rejection: ValidationError?

        var seen: Result<[Record], ValidationError> {
            if let rejection { return .failure(rejection) }
            return .success(
                records.map { record in
                    Record(
                        line: record.line, raw: Array(record.raw),
                        fields: record.problem == nil ? record.fields.map { Array($0) } : nil,
                        isUnterminated: record.isUnterminated)
                })
        }
    }

    private static func read(
        _ bytes: [UInt8], _ format: InputFormat, _ required: [Column], chunk: Int
    ) -> Reading {
        var reading = Reading()
        // Short enough for a pipe to hold.
        var ends: [Int32] = [-1, -1]
        precondition(pipe(&ends) == 0 && write(ends[1], bytes, bytes.count) == bytes.count && close(ends[1]) == 0)
        defer { close(ends[0]) }
        do {
            var reader = try FieldReader(
                ByteSource(descriptor: ends[0], chunkBytes: chunk), format: format, required: required,
                recordBytesMax: recordBytesMax)
            reading.columns = reader.columns
            while let record = try reader.next() { reading.records.append(record) }
        } catch let error as ValidationError {
            reading.rejection = error
        } catch {
            preconditionFailure("\(error)")
        }
        return reading
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

    private static func difference(
        _ mine: [Record], _ plain: [PlainReader.Record], _ format: InputFormat, fieldCount: Int
    ) -> String? {
        if mine.count != plain.count { return "\(mine.count) records, the plain reader has \(plain.count)" }
        for (record, expected) in zip(mine, plain) {
            var fields = expected.fields
            if format == .csv, let split = fields, split.count != fieldCount { fields = nil }
            // The members of an object are compared by the format's own check.
            let areEqual = format == .csv || fields == nil ? record.fields == fields : true
            if record.line != expected.line || record.raw != expected.raw
                || record.isUnterminated != expected.isUnterminated || !areEqual
            {
                return "the record is \(record), the plain reader has \(expected)"
            }
        }
        return nil
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

    init(_ bytes: [UInt8], isCSV: Bool, recordBytesMax: Int) {
        let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
        var start = 0
        while start < bytes.count {
            var quotes = 0
            let newline = bytes[start...].firstIndex { byte in
                if byte == UInt8(ascii: "\"") && isCSV { quotes += 1 }
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
                    line: line, raw: raw, fields: isBroken ? nil : isCSV ? Self.split(content) : [content],
                    isUnterminated: last == nil))
        }
    }

    private enum State { case start, plain, quoted, afterQuote }

    /// The fields of a CSV record; nil where a quote is in a wrong position.
    private static func split(_ content: [UInt8]) -> [[UInt8]]? {
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
            case (_, UInt8(ascii: ",")):
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
