import StockModel

/// COPY's text format (PostgreSQL manual, COPY, "Text Format").
package enum COPYText {
    /// Appends a job as one line of the given fields.
    package static func appendLine(_ job: JobRequest, _ fields: [JobField], to line: inout [UInt8]) {
        for (index, field) in fields.enumerated() {
            if index > 0 { line.append(UInt8(ascii: "\t")) }
            append(job.value(of: field), to: &line)
        }
        line.append(UInt8(ascii: "\n"))
    }

    private static func append(_ value: FieldValue, to line: inout [UInt8]) {
        switch value {
        case .null: line.append(contentsOf: "\\N".utf8)
        case .text(let text): append(text, to: &line)
        case .integer(let number): line.append(contentsOf: String(number).utf8)
        case .flag(let flag): line.append(flag ? UInt8(ascii: "t") : UInt8(ascii: "f"))
        case .time(let microseconds): RFC3339.append(microseconds, to: &line)
        }
    }

    /// Appends a text with its special characters escaped.
    package static func append(_ text: String, to line: inout [UInt8]) {
        var text = text
        text.withUTF8 { bytes in
            if !bytes.contains(where: { escapeLetter($0) != nil }) { return line.append(contentsOf: bytes) }
            for byte in bytes {
                if let letter = escapeLetter(byte) {
                    line.append(UInt8(ascii: "\\"))
                    line.append(letter)
                } else {
                    line.append(byte)
                }
            }
        }
    }

    private static func escapeLetter(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "\\"): UInt8(ascii: "\\")
        case UInt8(ascii: "\t"): UInt8(ascii: "t")
        case UInt8(ascii: "\n"): UInt8(ascii: "n")
        case UInt8(ascii: "\r"): UInt8(ascii: "r")
        default: nil
        }
    }
}
