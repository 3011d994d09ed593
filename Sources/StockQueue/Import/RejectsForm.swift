import StockFormats
import StockModel

/// How the records that an import rejects are kept for correction: each with its line and the reason, in two columns or
/// keys before the others that an import of the file does not read.
///
/// Before the others, because a record that cannot be read has no last column.
public struct RejectsForm: Sendable {
    private let header: [UInt8]
    private let delimiter: UInt8
    private let hasMark: Bool
    /// The input is itself a file of rejects: its lines and reasons are replaced.
    private let hasNotes: Bool

    init<Column>(_ reader: FieldReader<Column>) {
        header = reader.header
        delimiter = reader.delimiter
        hasMark = reader.hasMark
        // A spreadsheet may have put the names into quotes.
        hasNotes = header.filter { $0 != Self.quote }.starts(with: Self.names(delimiter))
    }

    private static let quote = UInt8(ascii: "\"")
    /// Of an object that `line` wrote.
    private static let objectBeginning = Array("{\"\(NoteColumn.names[0])\":".utf8)

    private static func names(_ delimiter: UInt8) -> [UInt8] {
        NoteColumn.names.flatMap { Array($0.utf8) + [delimiter] }
    }

    private var isCSV: Bool { !header.isEmpty }

    /// What the file begins with. The file is in UTF-8, and has a byte order mark if the input had one or was in another
    /// encoding.
    public var beginning: [UInt8] {
        let mark: [UInt8] = hasMark ? [0xEF, 0xBB, 0xBF] : []
        if !isCSV { return mark }
        return mark + (hasNotes ? [] : Self.names(delimiter)) + Self.ended(header)
    }

    /// The line that a record of a file of rejects had in the file that was imported first; nil for any other record.
    ///
    /// - Parameter raw: the record's bytes in UTF-8.
    func notedLine(_ raw: ArraySlice<UInt8>) -> Int? {
        let digits: ArraySlice<UInt8>
        if isCSV {
            guard hasNotes else { return nil }
            digits = raw.prefix { $0 != delimiter }
        } else {
            guard raw.starts(with: Self.objectBeginning) else { return nil }
            digits = raw.dropFirst(Self.objectBeginning.count).prefix {
                $0 != UInt8(ascii: ",") && $0 != UInt8(ascii: "}")
            }
        }
        let text = String(decoding: digits, as: UTF8.self).filter { $0 != "\"" && $0 != " " }
        return Int(text).flatMap { $0 > 0 ? $0 : nil }
    }

    /// A rejected record as the file has it.
    ///
    /// - Parameter raw: the record's bytes in UTF-8.
    public func line(_ error: ValidationError, _ raw: ArraySlice<UInt8>) -> [UInt8] {
        let line = notedLine(raw) ?? error.line ?? 0
        if isCSV {
            var kept = Array(String(line).utf8) + [delimiter, Self.quote]
            for byte in error.message.utf8 { kept += byte == Self.quote ? [byte, byte] : [byte] }
            kept += [Self.quote, delimiter]
            return kept + Self.ended(hasNotes ? withoutNotes(raw) : raw)
        }
        guard raw.first == UInt8(ascii: "{") else { return Self.ended(raw) }
        let members = Self.membersWithoutNotes(raw)
        let isEmpty = members.first { $0 > 0x20 } == UInt8(ascii: "}")
        let notes = JSONValue.object([
            JSONMember(NoteColumn.names[0], .integer(line)), JSONMember(NoteColumn.names[1], .string(error.message)),
        ])
        var kept = Array(JSONWriter.text(of: notes).utf8)
        kept.removeLast()
        if !isEmpty { kept.append(UInt8(ascii: ",")) }
        return kept + Self.ended(members)
    }

    private static func ended(_ line: some Collection<UInt8>) -> [UInt8] {
        let newline: [UInt8] = line.suffix(1).elementsEqual("\n".utf8) ? [] : [UInt8(ascii: "\n")]
        return line + newline
    }

    /// A CSV record behind its first two fields.
    private func withoutNotes(_ raw: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        var isQuoted = false
        var delimiters = 0
        for position in raw.indices {
            if raw[position] == Self.quote { isQuoted.toggle() }
            if raw[position] == delimiter && !isQuoted { delimiters += 1 }
            if delimiters == NoteColumn.names.count { return raw[(position + 1)...] }
        }
        return raw
    }

    /// An object behind its brace and the two members that `line` writes.
    private static func membersWithoutNotes(_ raw: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        let members = raw.dropFirst()
        var rest = members
        func skip(_ text: String) -> Bool {
            guard rest.starts(with: text.utf8) else { return false }
            rest = rest.dropFirst(text.utf8.count)
            return true
        }
        guard skip("\"\(NoteColumn.names[0])\":") else { return members }
        rest = rest.drop { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }
        guard skip(",\"\(NoteColumn.names[1])\":\"") else { return members }
        while let byte = rest.popFirst(), byte != quote {
            // What is escaped may be a quote.
            if byte == UInt8(ascii: "\\") { rest = rest.dropFirst() }
        }
        _ = skip(",")
        return rest
    }
}
