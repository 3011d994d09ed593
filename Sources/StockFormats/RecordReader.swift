import StockModel

/// One record of an input: its line, its bytes and its fields.
package struct InputRecord {
    /// The number of the record's first line, from 1.
    package var line = 0
    /// The record's bytes, unchanged, with its line break, for the file of rejects.
    package var raw: ArraySlice<UInt8> = []
    package var fields: [ArraySlice<UInt8>] = []
    /// Set when the record could not be read.
    package var problem: ValidationError?
    /// The input ended without a line break after this record.
    package var isUnterminated = false
}

/// Splits an input into lines or CSV records (RFC 4180: quoted fields may hold commas, quotes and line breaks).
package struct RecordReader {
    private let source: ByteSource
    private let isCSV: Bool
    private let recordBytesMax: Int
    private var buffer: [UInt8] = []
    private var start = 0
    private var line = 1
    private var isAtEnd = false

    /// - Parameter recordBytesMax: a record longer than this, without its line break, is not read. Default 1 MiB.
    package init(source: ByteSource, isCSV: Bool, recordBytesMax: Int = 1 << 20) {
        self.source = source
        self.isCSV = isCSV
        self.recordBytesMax = recordBytesMax
    }

    /// The next record that is not blank; nil at the end.
    package mutating func next() throws -> InputRecord? {
        while true {
            guard let end = try endOfRecord() else { return nil }
            var record = InputRecord(line: line, raw: buffer[start..<end.next])
            record.isUnterminated = end.isUnterminated
            record.problem = end.problem
            line += end.lines
            var content = start..<end.content
            if record.line == 1 && buffer[content].starts(with: Self.byteOrderMark) {
                content = (start + Self.byteOrderMark.count)..<end.content
            }
            start = end.next
            if content.isEmpty && record.problem == nil { continue }
            if record.problem == nil {
                if isCSV { splitFields(content, into: &record) } else { record.fields = [buffer[content]] }
            }
            return record
        }
    }

    /// Some programs write it before UTF-8.
    private static let byteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF]

    private struct End {
        /// After the record's last byte, without the line break.
        var content: Int
        /// Where the next record begins.
        var next: Int
        /// Line breaks in the record.
        var lines: Int
        var isUnterminated = false
        var problem: ValidationError?
    }

    private mutating func endOfRecord() throws -> End? {
        var position = start
        var lines = 0
        var isQuoted = false
        while true {
            var found: Int?
            buffer.withUnsafeBufferPointer { bytes in
                while position < bytes.count {
                    let byte = bytes[position]
                    if byte == UInt8(ascii: "\n") {
                        lines += 1
                        if !isQuoted {
                            found = position
                            return
                        }
                    } else if byte == UInt8(ascii: "\"") && isCSV {
                        isQuoted.toggle()
                    }
                    position += 1
                }
            }
            // Also where the line break is in the buffer already: the limit must not depend on the chunks of the input.
            if position - start > recordBytesMax {
                return try broken("a record of more than \(recordBytesMax) bytes; is a closing quote missing?")
            }
            if let found { return end(at: found, lines: lines) }
            if isAtEnd { return try endOfInput(position, isQuoted) }
            if start > 0 {
                buffer.removeSubrange(0..<start)
                position -= start
                start = 0
            }
            isAtEnd = try !source.read(into: &buffer)
        }
    }

    private func end(at newline: Int, lines: Int) -> End {
        let hasReturn = newline > start && buffer[newline - 1] == UInt8(ascii: "\r")
        return End(content: hasReturn ? newline - 1 : newline, next: newline + 1, lines: lines)
    }

    private mutating func endOfInput(_ position: Int, _ isQuoted: Bool) throws -> End? {
        if position == start { return nil }
        if isQuoted { return try broken("a closing quote is missing") }
        return End(content: position, next: position, lines: 1, isUnterminated: true)
    }

    /// Rejects the record and continues with the next line, so that one stray quote does not consume the rest of the
    /// input.
    private mutating func broken(_ reason: String) throws -> End {
        var next = start
        while true {
            while next < buffer.count && buffer[next] != UInt8(ascii: "\n") { next += 1 }
            if next < buffer.count || isAtEnd { break }
            isAtEnd = try !source.read(into: &buffer)
        }
        let hasBreak = next < buffer.count
        return End(
            content: next, next: hasBreak ? next + 1 : next, lines: 1, isUnterminated: !hasBreak,
            problem: ValidationError(reason, code: .malformed))
    }

    private func splitFields(_ content: Range<Int>, into record: inout InputRecord) {
        var position = content.lowerBound
        while true {
            if position < content.upperBound && buffer[position] == UInt8(ascii: "\"") {
                guard let (value, next) = quotedField(from: position, to: content.upperBound) else {
                    record.problem = ValidationError("unexpected text after a closing quote", code: .malformed)
                    return
                }
                record.fields.append(value)
                position = next
            } else {
                var end = position
                while end < content.upperBound && buffer[end] != UInt8(ascii: ",") {
                    if buffer[end] == UInt8(ascii: "\"") {
                        record.problem = ValidationError("quote in an unquoted field", code: .malformed)
                        return
                    }
                    end += 1
                }
                record.fields.append(buffer[position..<end])
                position = end
            }
            if position >= content.upperBound { return }
            position += 1  // the comma
        }
    }

    /// A field in quotes, with doubled quotes made single.
    private func quotedField(from start: Int, to limit: Int) -> (ArraySlice<UInt8>, Int)? {
        var position = start + 1
        var value: [UInt8] = []
        while position < limit {
            if buffer[position] == UInt8(ascii: "\"") {
                if position + 1 < limit && buffer[position + 1] == UInt8(ascii: "\"") {
                    position += 1
                } else {
                    let next = position + 1
                    return next == limit || buffer[next] == UInt8(ascii: ",") ? (value[...], next) : nil
                }
            }
            value.append(buffer[position])
            position += 1
        }
        return nil
    }
}
