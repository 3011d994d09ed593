import StockModel

/// Reads a JSON object (RFC 8259) of plain values from the bytes of a line.
///
/// Numbers keep every digit: `JSONDecoder` would hand large ones over as rounded doubles, read one key that stands twice
/// without a word, and take ten times as long.
struct JSONObject {
    enum Value {
        case null
        /// A text, or what a CSV would hold: `true`, `false`, or a number.
        case text([UInt8])
        case structure
    }

    private let bytes: ArraySlice<UInt8>
    private var position: Int

    private init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        position = bytes.startIndex
    }

    /// Hands out the members in their order.
    ///
    /// Nothing behind an object or array within the object is read: such a value ends the reading.
    ///
    /// - Parameter take: gets a key and its value; may throw to end the reading.
    static func read(
        _ bytes: ArraySlice<UInt8>, _ take: ([UInt8], Value) throws(ValidationError) -> Void
    ) throws(ValidationError) {
        var reader = JSONObject(bytes)
        try reader.read(take)
    }

    private static let notAnObject = ValidationError("not a JSON object")

    private mutating func read(_ take: ([UInt8], Value) throws(ValidationError) -> Void) throws(ValidationError) {
        skipBlanks()
        try expect(UInt8(ascii: "{"))
        skipBlanks()
        if !skip(UInt8(ascii: "}")) {
            repeat {
                skipBlanks()
                let key = try text()
                skipBlanks()
                try expect(UInt8(ascii: ":"))
                skipBlanks()
                let value = try value()
                try take(key, value)
                if case .structure = value { return }
                skipBlanks()
            } while skip(UInt8(ascii: ","))
            try expect(UInt8(ascii: "}"))
        }
        skipBlanks()
        if next != nil { throw Self.notAnObject }
    }

    // MARK: values

    private mutating func value() throws(ValidationError) -> Value {
        switch next {
        case UInt8(ascii: "\""): return .text(try text())
        case UInt8(ascii: "{"), UInt8(ascii: "["): return .structure
        case UInt8(ascii: "n"):
            try expect("null")
            return .null
        case UInt8(ascii: "t"):
            try expect("true")
            return .text(Array("true".utf8))
        case UInt8(ascii: "f"):
            try expect("false")
            return .text(Array("false".utf8))
        default: return .text(try number())
        }
    }

    private mutating func text() throws(ValidationError) -> [UInt8] {
        try expect(UInt8(ascii: "\""))
        var text: [UInt8] = []
        while let byte = next {
            position += 1
            switch byte {
            case UInt8(ascii: "\""): return text
            case UInt8(ascii: "\\"): try escape(into: &text)
            case 0..<0x20: throw Self.notAnObject
            default: text.append(byte)
            }
        }
        throw Self.notAnObject
    }

    private mutating func escape(into text: inout [UInt8]) throws(ValidationError) {
        guard let letter = next else { throw Self.notAnObject }
        position += 1
        switch letter {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(letter)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0C)
        case UInt8(ascii: "n"): text.append(UInt8(ascii: "\n"))
        case UInt8(ascii: "r"): text.append(UInt8(ascii: "\r"))
        case UInt8(ascii: "t"): text.append(UInt8(ascii: "\t"))
        case UInt8(ascii: "u"): text.append(contentsOf: String(try scalar()).utf8)
        default: throw Self.notAnObject
        }
    }

    /// A code point given as one or two UTF-16 units; half a pair is no text.
    private mutating func scalar() throws(ValidationError) -> Unicode.Scalar {
        var units = [try unit()]
        if UTF16.isLeadSurrogate(units[0]) {
            try expect("\\u")
            units.append(try unit())
        }
        guard let text = String(validating: units, as: UTF16.self), let scalar = text.unicodeScalars.first else {
            throw Self.notAnObject
        }
        return scalar
    }

    private mutating func unit() throws(ValidationError) -> UInt16 {
        var unit: UInt16 = 0
        for _ in 0..<4 {
            guard let digit = next.flatMap({ Character(Unicode.Scalar($0)).hexDigitValue }) else {
                throw Self.notAnObject
            }
            unit = unit << 4 | UInt16(digit)
            position += 1
        }
        return unit
    }

    // MARK: numbers

    /// The digits as they stand; a number with a fraction or an exponent that is whole all the same is written out, since
    /// JSON has one type of number and 5.0 is 5.
    private mutating func number() throws(ValidationError) -> [UInt8] {
        let start = position
        let isNegative = skip(UInt8(ascii: "-"))
        let whole = try digits()
        if whole.count > 1 && whole.first == UInt8(ascii: "0") { throw Self.notAnObject }
        let fraction = try skip(UInt8(ascii: ".")) ? digits() : []
        var exponent = 0
        if skip(UInt8(ascii: "e")) || skip(UInt8(ascii: "E")) {
            let isBelow = skip(UInt8(ascii: "-"))
            if !isBelow { _ = skip(UInt8(ascii: "+")) }
            // Far beyond what is written out, and far from overflowing.
            exponent = try digits().reduce(0) { min($0 * 10 + Int($1 - UInt8(ascii: "0")), 1_000_000) }
            if isBelow { exponent.negate() }
        }
        let literal = bytes[start..<position]
        if position == start + (isNegative ? 1 : 0) + whole.count { return Array(literal) }
        return Self.written(isNegative, Array(whole) + fraction, point: whole.count + exponent) ?? Array(literal)
    }

    /// A number without fraction and exponent; nil when it is not whole or too long to matter.
    ///
    /// - Parameter point: how many of the digits stand before the decimal point.
    private static func written(_ isNegative: Bool, _ digits: [UInt8], point: Int) -> [UInt8]? {
        let zero = UInt8(ascii: "0")
        guard let first = digits.firstIndex(where: { $0 != zero }), let last = digits.lastIndex(where: { $0 != zero })
        else { return [zero] }
        guard last < point, point - first <= 40 else { return nil }
        let zeros = [UInt8](repeating: zero, count: max(0, point - digits.count))
        return (isNegative ? [UInt8(ascii: "-")] : []) + (digits + zeros)[first..<point]
    }

    private mutating func digits() throws(ValidationError) -> ArraySlice<UInt8> {
        let start = position
        while let byte = next, byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") { position += 1 }
        if position == start { throw Self.notAnObject }
        return bytes[start..<position]
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
        if !skip(byte) { throw Self.notAnObject }
    }

    private mutating func expect(_ word: StaticString) throws(ValidationError) {
        for index in 0..<word.utf8CodeUnitCount { try expect(word.utf8Start[index]) }
    }
}
