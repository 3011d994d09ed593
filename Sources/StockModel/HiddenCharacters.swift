/// The characters that make an id look like another one: control characters, invisible ones, and white space other than
/// spaces between other characters.
///
/// The SQL function `hidden_characters` and the constraint `jobs_ids_visible` have the same ranges. They are a list of
/// their own and not a Unicode property, which would differ between versions of Swift and of PostgreSQL.
package enum HiddenCharacters {
    /// Besides U+0000 to U+0020.
    private static let ranges: [ClosedRange<UInt32>] = [
        0x7F...0xA0, 0xAD...0xAD, 0x34F...0x34F, 0x61C...0x61C, 0x115F...0x1160, 0x1680...0x1680, 0x17B4...0x17B5,
        0x180B...0x180F, 0x2000...0x200F, 0x2028...0x202F, 0x205F...0x206F, 0x2800...0x2800, 0x3000...0x3000,
        0x3164...0x3164, 0xFE00...0xFE0F, 0xFEFF...0xFEFF, 0xFFA0...0xFFA0, 0xFFF0...0xFFFB, 0x1BCA0...0x1BCA3,
        0x1D173...0x1D17A, 0xE0000...0xE0FFF,
    ]

    /// An id without them, as a regular expression; it has the characters themselves, which every dialect understands.
    package static let idPattern: String = {
        func text(_ range: ClosedRange<UInt32>) -> String {
            let scalars = [range.lowerBound, range.upperBound].compactMap { Unicode.Scalar($0).map(String.init) }
            return range.count == 1 ? scalars[0] : scalars.joined(separator: "-")
        }
        let visible = "[^" + ([0...0x20] + ranges).map(text).joined() + "]+"
        return "^\(visible)( +\(visible))*$"
    }()

    /// Whether an id has none of them. Printable ASCII, which nearly all ids are, costs a comparison a byte.
    package static func areAbsent(in id: UnsafeBufferPointer<UInt8>) -> Bool {
        if id.allSatisfy({ 0x21...0x7E ~= $0 }) { return true }
        return first(in: String(decoding: id, as: UTF8.self)) == nil
    }

    /// The first of them in an id.
    package static func first(in id: String) -> Unicode.Scalar? {
        let scalars = id.unicodeScalars
        if let first = scalars.first, first == " " { return first }
        if let last = scalars.last, last == " " { return last }
        return scalars.first { scalar in
            scalar.value < 0x20 || scalar.value >= 0x7F && ranges.contains { $0.contains(scalar.value) }
        }
    }

    /// What an error says of one: `U+200B (ZERO WIDTH SPACE)`.
    package static func description(of scalar: Unicode.Scalar) -> String {
        let digits = String(scalar.value, radix: 16, uppercase: true)
        let code = "U+" + String(repeating: "0", count: max(0, 4 - digits.count)) + digits
        let properties = scalar.properties
        return (properties.name ?? properties.nameAlias).map { "\(code) (\($0))" } ?? code
    }
}
