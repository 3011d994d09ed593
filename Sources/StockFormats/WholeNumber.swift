/// Whole numbers as text: an optional sign and digits. `5.0` and `1e3` are not whole numbers here.
package enum WholeNumber: Hashable {
    case value(Int64)
    /// A whole number beyond 64 bits.
    case overflow
    case malformed
    /// `1.000`, which may be this number, or with a point or comma between thousands a thousand times as much.
    case ambiguous(Int64)
    /// `1.250` or `12 345`: groups of digits.
    case grouped
    /// A dash that looks like a minus, and a number.
    case dashed

    package init(_ bytes: ArraySlice<UInt8>) {
        var digits = bytes
        let isNegative = digits.first == UInt8(ascii: "-")
        if isNegative || digits.first == UInt8(ascii: "+") { digits = digits.dropFirst() }
        guard !digits.isEmpty, digits.allSatisfy({ $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }) else {
            self = .malformed
            return
        }
        // Counted downwards: the negative range is the larger one.
        var value: Int64 = 0
        for digit in digits {
            let (product, overflowed) = value.multipliedReportingOverflow(by: 10)
            let (difference, carried) = product.subtractingReportingOverflow(Int64(digit - UInt8(ascii: "0")))
            if overflowed || carried {
                self = .overflow
                return
            }
            value = difference
        }
        if isNegative {
            self = .value(value)
        } else {
            self = value == .min ? .overflow : .value(-value)
        }
    }

    /// A number as people and spreadsheets write it: also with blanks around it, and `12.0` or `12,0`, which is 12.
    package init(written bytes: ArraySlice<UInt8>) {
        self = WholeNumber(bytes)
        guard self == .malformed else { return }
        let number = UTF8Text.trimmed(bytes)
        self = WholeNumber(number)
        guard self == .malformed else { return }
        if let dash = Self.dashes.first(where: { number.starts(with: $0) }) {
            if WholeNumber(number.dropFirst(dash.count)) != .malformed { self = .dashed }
            return
        }
        let point = number.firstIndex { Self.points.contains($0) } ?? number.endIndex
        let fraction = number[point...].dropFirst()
        guard !fraction.isEmpty, fraction.allSatisfy({ $0 == UInt8(ascii: "0") }) else {
            if Self.isGrouped(number) { self = .grouped }
            return
        }
        self = WholeNumber(number[..<point])
        if case .value(let value) = self, fraction.count == 3, (1...999).contains(value.magnitude) {
            self = .ambiguous(value)
        }
    }

    private static let points = [UInt8(ascii: "."), UInt8(ascii: ",")]

    /// U+2012 to U+2015 and U+2212, which word processors and spreadsheets write for a minus.
    private static let dashes: [[UInt8]] = ["\u{2012}", "\u{2013}", "\u{2014}", "\u{2015}", "\u{2212}"].map {
        Array($0.utf8)
    }

    /// Whether a text is 1 to 3 digits and then groups of 3, with the same byte between all of them.
    private static func isGrouped(_ number: ArraySlice<UInt8>) -> Bool {
        let digits = number.first == UInt8(ascii: "-") ? number.dropFirst() : number
        let separators = points + [UInt8(ascii: " "), UInt8(ascii: "'")]
        guard let separator = digits.first(where: { separators.contains($0) }) else { return false }
        let groups = digits.split(separator: separator, omittingEmptySubsequences: false)
        return (1...3).contains(groups[0].count) && groups.dropFirst().allSatisfy { $0.count == 3 }
            && groups.allSatisfy { $0.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) } }
    }

    /// Whether a text is a number in the form in which a spreadsheet shows a long one, with its last digits lost:
    /// `4.00638E+12`, or with a decimal comma.
    package static func isRounded(_ text: ArraySlice<UInt8>) -> Bool {
        func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }
        guard let first = text.first, isDigit(first), let sign = text.lastIndex(of: UInt8(ascii: "+")),
            sign > text.startIndex, text[sign - 1] | 0x20 == UInt8(ascii: "e")
        else { return false }
        let mantissa = text[..<(sign - 1)].split(maxSplits: 1, omittingEmptySubsequences: false) {
            $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: ",")
        }
        return (mantissa + [text[(sign + 1)...]]).allSatisfy { !$0.isEmpty && $0.allSatisfy(isDigit) }
    }
}
