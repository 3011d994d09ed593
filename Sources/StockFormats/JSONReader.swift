import StockModel

/// Reads one JSON text (RFC 8259) from bytes.
///
/// `JSONDecoder` returns large numbers as rounded doubles, accepts duplicate keys, and takes ten times as long.
package struct JSONReader {
    private let bytes: ArraySlice<UInt8>
    private var position: Int
    private var depthLeft: Int

    private init(_ bytes: ArraySlice<UInt8>, depthMax: Int) {
        self.bytes = bytes
        position = bytes.startIndex
        depthLeft = depthMax
    }

    /// Reads a text that is one value and nothing else.
    ///
    /// - Parameter depthMax: arrays and objects that may be inside each other.
    /// - Throws: the first fault with its byte, counted from 1.
    package static func read(_ bytes: ArraySlice<UInt8>, depthMax: Int = 64) throws(ValidationError) -> JSONValue {
        var reader = JSONReader(bytes, depthMax: depthMax)
        let value = try reader.value()
        reader.skipBlanks()
        if reader.next != nil { throw reader.unexpected() }
        return value
    }

    // MARK: values

    private mutating func value() throws(ValidationError) -> JSONValue {
        skipBlanks()
        switch next {
        case UInt8(ascii: "\""): return .string(try text())
        case UInt8(ascii: "{"): return .object(try nested { reader throws(ValidationError) in try reader.members() })
        case UInt8(ascii: "["): return .array(try nested { reader throws(ValidationError) in try reader.elements() })
        case UInt8(ascii: "n"):
            try expect("null")
            return .null
        case UInt8(ascii: "t"):
            try expect("true")
            return .bool(true)
        case UInt8(ascii: "f"):
            try expect("false")
            return .bool(false)
        default: return .number(try number())
        }
    }

    private mutating func nested<Content>(
        _ read: (inout JSONReader) throws(ValidationError) -> Content
    ) throws(ValidationError) -> Content {
        if depthLeft == 0 { throw fault("nested too deep") }
        depthLeft -= 1
        let content = try read(&self)
        depthLeft += 1
        return content
    }

    private mutating func elements() throws(ValidationError) -> [JSONValue] {
        position += 1
        skipBlanks()
        if skip(UInt8(ascii: "]")) { return [] }
        var elements: [JSONValue] = []
        repeat {
            elements.append(try value())
            skipBlanks()
        } while skip(UInt8(ascii: ","))
        try expect(UInt8(ascii: "]"))
        return elements
    }

    private mutating func members() throws(ValidationError) -> [JSONMember] {
        position += 1
        skipBlanks()
        if skip(UInt8(ascii: "}")) { return [] }
        var members: [JSONMember] = []
        var keys = KeySet()
        repeat {
            skipBlanks()
            let start = position
            let key = try text()
            if !keys.insert(key, members) {
                position = start
                throw ValidationError(
                    "\(ValidationError.shown(key.utf8)) is given twice in an object at byte \(byteNumber)",
                    code: .duplicateField, field: key)
            }
            skipBlanks()
            try expect(UInt8(ascii: ":"))
            members.append(JSONMember(key, try value()))
            skipBlanks()
        } while skip(UInt8(ascii: ","))
        try expect(UInt8(ascii: "}"))
        return members
    }

    /// The keys of an object, compared by their bytes: `String` treats texts of different bytes as equal. A set is made
    /// only for objects with many keys.
    private struct KeySet {
        private var many: Set<[UInt8]>?
        private static let fewMax = 24

        mutating func insert(_ key: String, _ members: [JSONMember]) -> Bool {
            if members.count < Self.fewMax {
                return !members.contains { $0.key == key && $0.key.utf8.elementsEqual(key.utf8) }
            }
            var set = many ?? Set(members.map { Array($0.key.utf8) })
            many = nil
            defer { many = set }
            return set.insert(Array(key.utf8)).inserted
        }
    }

    // MARK: texts

    private mutating func text() throws(ValidationError) -> String {
        try expect(UInt8(ascii: "\""))
        let start = position
        position = bytes[start...].firstIndex { Self.endsPlainText($0) } ?? bytes.endIndex
        guard next == UInt8(ascii: "\"") else { return try textWithEscapes(from: start) }
        position += 1
        return try utf8(bytes[start..<(position - 1)], from: start)
    }

    private static func endsPlainText(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") || byte < 0x20
    }

    private mutating func textWithEscapes(from start: Int) throws(ValidationError) -> String {
        var text = Array(bytes[start..<position])
        while let byte = next {
            switch byte {
            case UInt8(ascii: "\""):
                position += 1
                return try utf8(text[...], from: start)
            case UInt8(ascii: "\\"):
                position += 1
                try escape(into: &text)
            case 0..<0x20: throw fault("control character in a string")
            default:
                text.append(byte)
                position += 1
            }
        }
        throw unexpected()
    }

    private mutating func utf8(_ text: ArraySlice<UInt8>, from start: Int) throws(ValidationError) -> String {
        if let valid = UTF8Text.string(text) { return valid }
        position = start
        throw fault("a string that is not valid UTF-8")
    }

    private mutating func escape(into text: inout [UInt8]) throws(ValidationError) {
        guard let letter = next else { throw unexpected() }
        switch letter {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(letter)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0C)
        case UInt8(ascii: "n"): text.append(UInt8(ascii: "\n"))
        case UInt8(ascii: "r"): text.append(UInt8(ascii: "\r"))
        case UInt8(ascii: "t"): text.append(UInt8(ascii: "\t"))
        case UInt8(ascii: "u"):
            position += 1
            return text.append(contentsOf: String(try scalar()).utf8)
        default: throw unexpected()
        }
        position += 1
    }

    /// A code point written as one or two UTF-16 units; half a pair is an error.
    private mutating func scalar() throws(ValidationError) -> Unicode.Scalar {
        var units = [try unit()]
        if UTF16.isLeadSurrogate(units[0]) {
            try expect("\\u")
            units.append(try unit())
        }
        guard let text = String(validating: units, as: UTF16.self), let scalar = text.unicodeScalars.first else {
            throw fault("an escape that is half a character")
        }
        return scalar
    }

    private mutating func unit() throws(ValidationError) -> UInt16 {
        var unit: UInt16 = 0
        for _ in 0..<4 {
            guard let digit = next.flatMap({ Character(Unicode.Scalar($0)).hexDigitValue }) else { throw unexpected() }
            unit = unit << 4 | UInt16(digit)
            position += 1
        }
        return unit
    }

    // MARK: numbers

    private mutating func number() throws(ValidationError) -> JSONNumber {
        let start = position
        _ = skip(UInt8(ascii: "-"))
        let firstDigit = position
        try skipDigits()
        if position > firstDigit + 1 && bytes[firstDigit] == UInt8(ascii: "0") {
            position = firstDigit
            throw fault("a number with a leading zero")
        }
        if skip(UInt8(ascii: ".")) { try skipDigits() }
        if skip(UInt8(ascii: "e")) || skip(UInt8(ascii: "E")) {
            if !skip(UInt8(ascii: "-")) { _ = skip(UInt8(ascii: "+")) }
            try skipDigits()
        }
        return JSONNumber(literal: String(decoding: bytes[start..<position], as: UTF8.self))
    }

    private mutating func skipDigits() throws(ValidationError) {
        let start = position
        while let byte = next, byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") { position += 1 }
        if position == start { throw unexpected() }
    }

    // MARK: bytes

    private var next: UInt8? { position < bytes.endIndex ? bytes[position] : nil }

    private mutating func skip(_ byte: UInt8) -> Bool {
        guard next == byte else { return false }
        position += 1
        return true
    }

    private mutating func skipBlanks() {
        while let byte = next, byte == 0x20 || byte == 0x09 || byte == 0x0D || byte == 0x0A { position += 1 }
    }

    private mutating func expect(_ byte: UInt8) throws(ValidationError) {
        if !skip(byte) { throw unexpected() }
    }

    private mutating func expect(_ word: StaticString) throws(ValidationError) {
        for index in 0..<word.utf8CodeUnitCount { try expect(word.utf8Start[index]) }
    }

    // MARK: faults

    private var byteNumber: Int { position - bytes.startIndex + 1 }

    private func unexpected() -> ValidationError {
        guard next != nil else { return ValidationError("not JSON: it ends too early", code: .malformed) }
        return fault("unexpected '\(ValidationError.shown(bytes[position..<(position + 1)]))'")
    }

    private func fault(_ what: String) -> ValidationError {
        ValidationError("not JSON: \(what) at byte \(byteNumber)", code: .malformed)
    }
}
