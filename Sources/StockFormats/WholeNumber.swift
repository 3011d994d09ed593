/// Whole numbers as text: an optional sign and digits. `5.0` and `1e3` are not whole numbers here.
package enum WholeNumber: Hashable {
    case value(Int64)
    /// A whole number beyond 64 bits.
    case overflow
    case malformed
    /// `1.000`, which may be this number, or with a point between thousands a thousand times as much.
    case ambiguous(Int64)

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

    /// A number as people and spreadsheets write it: also with blanks around it, and `12.0`, which is 12.
    package init(written bytes: ArraySlice<UInt8>) {
        self = WholeNumber(bytes)
        guard self == .malformed else { return }
        let number = UTF8Text.trimmed(bytes)
        guard let point = number.firstIndex(of: UInt8(ascii: ".")) else {
            self = WholeNumber(number)
            return
        }
        let fraction = number[(point + 1)...]
        guard !fraction.isEmpty, fraction.allSatisfy({ $0 == UInt8(ascii: "0") }) else { return }
        self = WholeNumber(number[..<point])
        if case .value(let value) = self, fraction.count == 3, (1...999).contains(value.magnitude) {
            self = .ambiguous(value)
        }
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
