import Foundation
import StockModel
import StockQueue

/// Reads an import's input in pieces of several sizes and compares it with a plain reader, which has the whole input before
/// it and takes one byte at a time.
struct InputCheck<Column: RawRepresentable & CaseIterable & Hashable> where Column.RawValue == String {
    struct Record: Equatable {
        var line: Int
        var raw: [UInt8]
        /// Nil for a record that could not be read.
        var fields: [[UInt8]]?
        var isUnterminated: Bool
    }

    /// A short one, so that short inputs go beyond it.
    static var recordBytesMax: Int { 300 }

    var columns: [Column] = []
    /// Behind the header.
    var records: [InputRecord] = []
    /// What is wrong with the reading.
    var problem: String?

    init(_ bytes: [UInt8], _ format: InputFormat, required: [Column]) {
        let readings = [1, 7, 4_096].map { Self.read(bytes, format, required, chunk: $0) }
        columns = readings[0].columns
        records = readings[0].records
        let seen = readings.map(\.seen)
        if seen.contains(where: { $0 != seen[0] }) {
            problem = "read in pieces of 1, 7 and 4096 bytes it is \(seen)"
            return
        }
        let plain = PlainReader(bytes, isCSV: format == .csv, recordBytesMax: Self.recordBytesMax).records
        guard case .success(let mine) = seen[0] else {
            problem = Self.refusalProblem(plain, required)
            return
        }
        let expected = format == .csv ? Array(plain.dropFirst()) : plain
        problem = Self.difference(mine, expected, format, fieldCount: columns.count)
    }

    private struct Reading {
        var columns: [Column] = []
        var records: [InputRecord] = []
        var refusal: ValidationError?

        var seen: Result<[Record], ValidationError> {
            if let refusal { return .failure(refusal) }
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
        do throws(ValidationError) {
            var reader = try FieldReader(
                ByteSource(descriptor: ends[0], chunk: chunk), format: format, required: required,
                recordBytesMax: recordBytesMax)
            reading.columns = reader.columns
            while let record = try reader.next() { reading.records.append(record) }
        } catch {
            reading.refusal = error
        }
        return reading
    }

    /// A CSV is refused as a whole for its header alone.
    private static func refusalProblem(_ plain: [PlainReader.Record], _ required: [Column]) -> String? {
        guard let header = plain.first?.fields else { return nil }
        let names = header.map { String(decoding: $0, as: UTF8.self) }
        let columns = names.compactMap { Column(rawValue: $0) }
        let isGood =
            columns.count == names.count && Set(columns).count == columns.count
            && Set(columns).isSuperset(of: required)
        return isGood ? "the header \(names) is refused" : nil
    }

    private static func difference(
        _ mine: [Record], _ plain: [PlainReader.Record], _ format: InputFormat, fieldCount: Int
    ) -> String? {
        if mine.count != plain.count { return "\(mine.count) records, the plain reader has \(plain.count)" }
        for (record, expected) in zip(mine, plain) {
            var fields = expected.fields
            if format == .csv, let split = fields, split.count != fieldCount { fields = nil }
            // What an object holds, the format's own check compares.
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
            let raw = Array(bytes[start..<(last.map { $0 + 1 } ?? bytes.count)])
            var content = raw
            if start == 0 && content.starts(with: mark) { content.removeFirst(3) }
            if last != nil {
                content.removeLast()
                if content.last == UInt8(ascii: "\r") { content.removeLast() }
            }
            let line = 1 + bytes[..<start].count { $0 == UInt8(ascii: "\n") }
            start += raw.count
            if content.isEmpty && !isBroken { continue }
            records.append(
                Record(
                    line: line, raw: raw, fields: isBroken ? nil : isCSV ? Self.split(content) : [content],
                    isUnterminated: last == nil))
        }
    }

    private enum Place { case start, plain, quoted, behind }

    /// The fields of a CSV record; nil where a quote stands in a wrong place.
    private static func split(_ content: [UInt8]) -> [[UInt8]]? {
        var fields: [[UInt8]] = [[]]
        var place = Place.start
        for byte in content {
            switch (place, byte) {
            case (.start, UInt8(ascii: "\"")): place = .quoted
            case (.quoted, UInt8(ascii: "\"")): place = .behind
            case (.quoted, _): fields[fields.count - 1].append(byte)
            case (.behind, UInt8(ascii: "\"")):
                fields[fields.count - 1].append(byte)
                place = .quoted
            case (_, UInt8(ascii: ",")):
                fields.append([])
                place = .start
            case (.behind, _), (.plain, UInt8(ascii: "\"")): return nil
            default:
                fields[fields.count - 1].append(byte)
                place = .plain
            }
        }
        return fields
    }
}
