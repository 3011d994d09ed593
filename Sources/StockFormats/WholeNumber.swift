/// Whole numbers as text: an optional sign and digits. `5.0` and `1e3` are not whole numbers here.
package enum WholeNumber: Hashable {
    case value(Int64)
    /// A whole number beyond 64 bits.
    case overflow
    case malformed

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
}
