/// Writes JSON on one line: keys in their order, no blanks, slashes unescaped, control characters escaped.
package struct JSONWriter {
    package private(set) var bytes: [UInt8] = []
    /// The next value needs a comma before it.
    private var needsComma = false

    package init() {}

    package var text: String { String(decoding: bytes, as: UTF8.self) }

    /// A value as JSON.
    package static func text(of value: JSONValue) -> String {
        var writer = JSONWriter()
        writer.write(value)
        return writer.text
    }

    /// A text as a JSON string.
    package static func quoted(_ text: String) -> String {
        var writer = JSONWriter()
        writer.string(text)
        return writer.text
    }

    // MARK: values

    package mutating func write(_ value: JSONValue) {
        switch value {
        case .null: null()
        case .bool(let flag): bool(flag)
        case .number(let number): literal(number.literal)
        case .string(let text): string(text)
        case .array(let elements): array { writer in for element in elements { writer.write(element) } }
        case .object(let members):
            object { writer in
                for member in members {
                    writer.key(member.key)
                    writer.write(member.value)
                }
            }
        }
    }

    package mutating func null() { literal("null") }

    package mutating func bool(_ value: Bool) { literal(value ? "true" : "false") }

    package mutating func integer(_ value: some FixedWidthInteger) { literal(String(value)) }

    /// A value that is JSON already, such as a row that the server formatted.
    package mutating func encoded(_ json: String) { literal(json) }

    package mutating func string(_ text: String) {
        beginValue()
        appendQuoted(text)
        needsComma = true
    }

    /// - Parameter content: writes the elements.
    package mutating func array(_ content: (inout JSONWriter) -> Void) {
        nest(UInt8(ascii: "["), UInt8(ascii: "]"), content)
    }

    /// - Parameter content: writes each member's key and then its value.
    package mutating func object(_ content: (inout JSONWriter) -> Void) {
        nest(UInt8(ascii: "{"), UInt8(ascii: "}"), content)
    }

    /// The key of the member whose value is written next.
    package mutating func key(_ key: String) {
        string(key)
        bytes.append(UInt8(ascii: ":"))
        needsComma = false
    }

    // MARK: bytes

    private mutating func nest(_ open: UInt8, _ close: UInt8, _ content: (inout JSONWriter) -> Void) {
        beginValue()
        bytes.append(open)
        needsComma = false
        content(&self)
        bytes.append(close)
        needsComma = true
    }

    private mutating func beginValue() {
        if needsComma { bytes.append(UInt8(ascii: ",")) }
    }

    private mutating func literal(_ text: String) {
        beginValue()
        bytes.append(contentsOf: text.utf8)
        needsComma = true
    }

    private mutating func appendQuoted(_ text: String) {
        bytes.append(UInt8(ascii: "\""))
        var afterC2 = false
        for byte in text.utf8 {
            // DEL, and U+0080 to U+009F (C2 80 to C2 9F): U+009B begins an escape sequence of a terminal.
            if afterC2 && (0x80...0x9F).contains(byte) {
                bytes.removeLast()
                appendEscaped(byte)
            } else if byte < 0x20 || byte == 0x7F {
                appendControl(byte)
            } else {
                if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { bytes.append(UInt8(ascii: "\\")) }
                bytes.append(byte)
            }
            afterC2 = byte == 0xC2
        }
        bytes.append(UInt8(ascii: "\""))
    }

    private mutating func appendControl(_ byte: UInt8) {
        switch byte {
        case 0x08: bytes.append(contentsOf: "\\b".utf8)
        case 0x0C: bytes.append(contentsOf: "\\f".utf8)
        case UInt8(ascii: "\n"): bytes.append(contentsOf: "\\n".utf8)
        case UInt8(ascii: "\r"): bytes.append(contentsOf: "\\r".utf8)
        case UInt8(ascii: "\t"): bytes.append(contentsOf: "\\t".utf8)
        default: appendEscaped(byte)
        }
    }

    /// A code point below 256 as `\u00XX`.
    private mutating func appendEscaped(_ codePoint: UInt8) {
        bytes.append(contentsOf: "\\u00".utf8)
        for digit in [codePoint >> 4, codePoint & 15] {
            bytes.append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
        }
    }
}
