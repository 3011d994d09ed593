import Foundation
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

    /// All fields are empty, or white space.
    var isBlank: Bool { fields.allSatisfy { $0.isEmpty || UTF8Text.trimmed($0).isEmpty } }

    /// - Throws: if the record has more or fewer fields than the header.
    func require(width: Int) throws(ValidationError) {
        if fields.count == width { return }
        let fieldCount = "\(fields.count) field\(fields.count == 1 ? "" : "s")"
        throw ValidationError("\(fieldCount), the header has \(width)", code: .malformed)
    }
}

/// What a reader has when it was asked for a record until a time.
package enum RecordReading {
    case record(InputRecord)
    case end
    /// The time came before the record's end.
    case notYet
}

/// Splits an input into lines or CSV records (RFC 4180, with any separator: quoted fields may hold separators, quotes and
/// line breaks).
package struct RecordReader {
    private let source: ByteSource
    private let isCSV: Bool
    private let recordBytesMax: Int
    /// The byte between the fields of a CSV.
    var separator = UInt8(ascii: ",")
    /// Nil for an input in UTF-8.
    private var transcoder: Transcoder?
    private var buffer: [UInt8] = []
    private var start = 0
    private var line = 1
    private var isAtEnd = false
    /// The beginning of a line that is too long, while the rest of the line is skipped.
    private var skipped: [UInt8]?

    /// - Parameter recordBytesMax: a record longer than this, without its line break, is not read. Default 1 MiB.
    package init(source: ByteSource, isCSV: Bool, recordBytesMax: Int = 1 << 20) {
        self.source = source
        self.isCSV = isCSV
        self.recordBytesMax = recordBytesMax
    }

    /// The first bytes of what is not read yet; fewer at the end of the input.
    mutating func peek(_ count: Int) throws -> ArraySlice<UInt8> {
        while buffer.count - start < count, !isAtEnd { isAtEnd = try fill(until: nil) == .end }
        return buffer[start...].prefix(count)
    }

    /// The first line of what is not read yet that is not blank; of a long one its beginning.
    mutating func peekLine() throws -> ArraySlice<UInt8> {
        while true {
            let rest = buffer[start...]
            let begin = rest.firstIndex { $0 != UInt8(ascii: "\n") && $0 != UInt8(ascii: "\r") } ?? rest.endIndex
            let end = rest[begin...].firstIndex(of: UInt8(ascii: "\n"))
            if end != nil || isAtEnd || rest.count >= Self.peekedBytesMax {
                return rest[begin..<(end ?? rest.endIndex)].prefix(Self.peekedBytesMax)
            }
            isAtEnd = try fill(until: nil) == .end
        }
    }

    private static let peekedBytesMax = 1 << 16

    /// Skips the first line if it is `sep=;`: by it Excel knows the separator.
    ///
    /// - Returns: the separator; nil where there is no such line.
    mutating func skipSeparatorLine() throws -> UInt8? {
        let mark = Self.byteOrderMark
        let first = try peek(mark.count + 7)
        let text = first.starts(with: mark) ? first.dropFirst(mark.count) : first
        guard text.count > 5, text.prefix(4).elementsEqual("sep=".utf8) else { return nil }
        let separator = text[text.startIndex + 4]
        let rest = text.dropFirst(5)
        let end = rest.first == UInt8(ascii: "\r") ? rest.dropFirst() : rest
        guard end.first == UInt8(ascii: "\n") else { return nil }
        start = end.startIndex + 1
        line += 1
        return separator
    }

    /// Makes UTF-8 of what is not read yet.
    ///
    /// - Parameter first: the first bytes of the input.
    mutating func decode(_ encoding: TextEncoding, first: ArraySlice<UInt8>) {
        transcoder = Transcoder(encoding, first: first)
        guard transcoder != nil else { return }
        let raw = Array(buffer[start...])
        buffer.removeAll()
        start = 0
        transcoder?.append(raw, to: &buffer)
        if isAtEnd { transcoder?.finish(to: &buffer) }
    }

    private mutating func fill(until time: ContinuousClock.Instant?) throws -> ByteSource.Reading {
        if transcoder == nil { return try source.read(into: &buffer, until: time) }
        var raw: [UInt8] = []
        let reading = try source.read(into: &raw, until: time)
        transcoder?.append(raw, to: &buffer)
        if case .end = reading { transcoder?.finish(to: &buffer) }
        return reading
    }

    /// The next record that is not blank; nil at the end.
    package mutating func next() throws -> InputRecord? {
        if case .record(let record) = try next(until: nil) { record } else { nil }
    }

    /// The next record that is not blank, if it comes before a time.
    package mutating func next(until time: ContinuousClock.Instant?) throws -> RecordReading {
        while true {
            let end: End
            switch try endOfRecord(until: time) {
            case .end: return .end
            case .notYet: return .notYet
            case .found(let found): end = found
            }
            var record = InputRecord(line: line, raw: end.beginning?[...] ?? buffer[start..<end.next])
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
            return .record(record)
        }
    }

    /// Some programs write it before UTF-8.
    static let byteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF]

    private struct End {
        /// After the record's last byte, without the line break.
        var content: Int
        /// Where the next record begins.
        var next: Int
        /// Line breaks in the record.
        var lines: Int
        var isUnterminated = false
        var problem: ValidationError?
        /// The beginning of a line that is too long; its rest is not kept.
        var beginning: [UInt8]?
    }

    private enum Search {
        case found(End)
        case end, notYet
    }

    private mutating func endOfRecord(until time: ContinuousClock.Instant?) throws -> Search {
        if skipped != nil { return try skipLine(until: time) }
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
            if position - start > recordBytesMax { return try rejectTooLong(until: time) }
            if let found { return .found(end(at: found, lines: lines)) }
            if isAtEnd { return endOfInput(position, isQuoted) }
            if start > 0 {
                buffer.removeSubrange(0..<start)
                position -= start
                start = 0
            }
            switch try fill(until: time) {
            case .bytes: break
            case .end: isAtEnd = true
            case .notYet: return .notYet
            }
        }
    }

    private func end(at newline: Int, lines: Int) -> End {
        let hasReturn = newline > start && buffer[newline - 1] == UInt8(ascii: "\r")
        return End(content: hasReturn ? newline - 1 : newline, next: newline + 1, lines: lines)
    }

    private func endOfInput(_ position: Int, _ isQuoted: Bool) -> Search {
        if position == start { return .end }
        if isQuoted { return .found(broken("a closing quote is missing", lineEnd: lineBreak() ?? buffer.count)) }
        return .found(End(content: position, next: position, lines: 1, isUnterminated: true))
    }

    /// Rejects the record and continues with the next line, so that one stray quote does not consume the rest of the
    /// input.
    private func broken(_ reason: String, lineEnd: Int) -> End {
        let hasBreak = lineEnd < buffer.count
        return End(
            content: lineEnd, next: hasBreak ? lineEnd + 1 : lineEnd, lines: 1, isUnterminated: !hasBreak,
            problem: ValidationError(reason, code: .malformed),
            beginning: lineEnd - start > recordBytesMax ? Array(buffer[start...].prefix(recordBytesMax)) : nil)
    }

    // MARK: records that are too long

    private var tooLong: String { "a record of more than \(recordBytesMax) bytes; is a closing quote missing?" }

    private mutating func rejectTooLong(until time: ContinuousClock.Instant?) throws -> Search {
        if let lineEnd = lineBreak() { return .found(broken(tooLong, lineEnd: lineEnd)) }
        if isAtEnd { return .found(broken(tooLong, lineEnd: buffer.count)) }
        skipped = Array(buffer[start...].prefix(recordBytesMax))
        return try skipLine(until: time)
    }

    /// Reads to the end of the line without keeping it.
    private mutating func skipLine(until time: ContinuousClock.Instant?) throws -> Search {
        while true {
            let lineEnd = lineBreak()
            if lineEnd != nil || isAtEnd {
                var end = broken(tooLong, lineEnd: lineEnd ?? buffer.count)
                end.beginning = skipped
                skipped = nil
                return .found(end)
            }
            buffer.removeAll(keepingCapacity: true)
            start = 0
            switch try fill(until: time) {
            case .bytes: break
            case .end: isAtEnd = true
            case .notYet: return .notYet
            }
        }
    }

    /// The first line break of what is not read yet.
    private func lineBreak() -> Int? {
        buffer.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress, start < bytes.count else { return nil }
            let found = memchr(base + start, Int32(UInt8(ascii: "\n")), bytes.count - start)
            return found.map { UnsafeRawPointer($0) - base }
        }
    }

    // MARK: fields

    private func splitFields(_ content: Range<Int>, into record: inout InputRecord) {
        var position = content.lowerBound
        let separator = separator
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
                while end < content.upperBound && buffer[end] != separator {
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
            position += 1  // the separator
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
                    return next == limit || buffer[next] == separator ? (value[...], next) : nil
                }
            }
            value.append(buffer[position])
            position += 1
        }
        return nil
    }
}
