/// Text as a terminal may show it: characters that a terminal obeys and invisible characters are written as escapes.
///
/// The escapes are those of JSON, so that a JSON text stays the same value.
package enum VisibleText {
    /// Replaces what must not reach a terminal: control characters, marks of the writing direction, zero-width and other
    /// invisible characters, and separators of lines.
    ///
    /// - Parameter keepsLineBreaks: for a text of several lines.
    package static func escaped(_ text: String, keepsLineBreaks: Bool = false) -> String {
        let isPlain = text.utf8.allSatisfy { (0x20..<0x7F).contains($0) || keepsLineBreaks && $0 == 0x0A }
        if isPlain { return text }
        var escaped = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            if !isHidden(scalar) || keepsLineBreaks && scalar == "\n" {
                escaped.append(scalar)
            } else {
                escaped.append(contentsOf: escape(scalar).unicodeScalars)
            }
        }
        return String(escaped)
    }

    /// Whether a terminal obeys the character or shows nothing for it.
    package static func isHidden(_ scalar: Unicode.Scalar) -> Bool {
        if scalar.value < 0x80 { return scalar.value < 0x20 || scalar.value == 0x7F }
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator: return true
        default: return scalar.properties.isDefaultIgnorableCodePoint
        }
    }

    private static func escape(_ scalar: Unicode.Scalar) -> String {
        switch scalar {
        case "\n": "\\n"
        case "\r": "\\r"
        case "\t": "\\t"
        default: String(scalar).utf16.map { "\\u" + hex($0) }.joined()
        }
    }

    private static func hex(_ unit: UInt16) -> String {
        let digits = String(unit, radix: 16)
        return String(repeating: "0", count: 4 - digits.count) + digits
    }
}
