/// How the bytes of a path segment or of a query become text.
package enum PercentCoding: Sendable {
    /// `%2B` is a plus, and a plus is a plus (RFC 3986).
    case uri
    /// A plus is a space, as in forms and in the paths of some servers.
    case form

    /// - Returns: nil where a percent sign is not followed by two hexadecimal digits, or if the result is not UTF-8 or has
    ///   a NUL.
    package func decode(_ bytes: ArraySlice<UInt8>) -> String? {
        var (isSpecial, isASCII) = (false, true)
        for byte in bytes {
            if byte == UInt8(ascii: "%") || byte == 0 || byte == UInt8(ascii: "+") && self == .form { isSpecial = true }
            if byte > 127 { isASCII = false }
        }
        guard isSpecial else {
            // ASCII is UTF-8: no need to check.
            return isASCII ? String(decoding: bytes, as: UTF8.self) : String(validating: bytes, as: UTF8.self)
        }
        var decoded: [UInt8] = []
        decoded.reserveCapacity(bytes.count)
        var index = bytes.startIndex
        while index < bytes.endIndex {
            var byte = bytes[index]
            if byte == UInt8(ascii: "%") {
                guard index + 2 < bytes.endIndex, let high = bytes[index + 1].hexValue,
                    let low = bytes[index + 2].hexValue
                else { return nil }
                byte = high << 4 | low
                index += 2
            } else if byte == UInt8(ascii: "+"), self == .form {
                byte = .space
            }
            guard byte != 0 else { return nil }
            decoded.append(byte)
            index += 1
        }
        return String(validating: decoded, as: UTF8.self)
    }
}

/// The parameters of a query or of a form, in order: `name=value`, separated by `&`.
package struct QueryParameters: Sendable {
    /// Decoded names and values. A name without `=` has an empty value.
    package let all: [(name: String, value: String)]
    /// Whether a name or a value could not be decoded; such a parameter is not in `all`.
    package let hasInvalid: Bool

    /// Those of a target without a query.
    package static let none = QueryParameters([])

    /// - Parameter bytes: without a question mark.
    package init(_ bytes: ArraySlice<UInt8>) {
        var all: [(name: String, value: String)] = []
        var hasInvalid = false
        for part in bytes.split(separator: UInt8(ascii: "&")) {
            let equals = part.firstIndex(of: UInt8(ascii: "=")) ?? part.endIndex
            let value = equals < part.endIndex ? part[(equals + 1)...] : []
            if let name = PercentCoding.form.decode(part[..<equals]), let value = PercentCoding.form.decode(value) {
                all.append((name, value))
            } else {
                hasInvalid = true
            }
        }
        self.all = all
        self.hasInvalid = hasInvalid
    }

    /// The value of the first parameter with a name.
    package subscript(name: String) -> String? { all.first { $0.name == name }?.value }

    /// The values of all parameters with a name, in order.
    package func values(_ name: String) -> [String] { all.filter { $0.name == name }.map(\.value) }
}
