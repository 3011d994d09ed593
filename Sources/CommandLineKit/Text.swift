/// A whole number in groups of three digits: 1,234,567.
package func grouped(_ number: some BinaryInteger) -> String {
    let digits = String(number.magnitude)
    var groups: [Substring] = []
    var rest = digits[...]
    while rest.count > 3 {
        groups.insert(rest.suffix(3), at: 0)
        rest = rest.dropLast(3)
    }
    groups.insert(rest, at: 0)
    return (number < 0 ? "-" : "") + groups.joined(separator: ",")
}

/// Rows as columns, the first row being the heading; columns of numbers are aligned to the right.
package func table(_ rows: [[String]]) -> String {
    guard let heading = rows.first else { return "" }
    let widths = heading.indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    let isNumber = heading.indices.map { column in
        rows.count > 1 && rows.dropFirst().allSatisfy { $0[column].allSatisfy { "0123456789,.-+–%".contains($0) } }
    }
    return rows.map { row in
        row.indices.map { column in
            let fill = String(repeating: " ", count: widths[column] - row[column].count)
            return isNumber[column] ? fill + row[column] : row[column] + fill
        }.joined(separator: "  ").trimmingTrailingBlanks()
    }.joined(separator: "\n")
}

extension String {
    package func padding(toWidth width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }

    fileprivate func trimmingTrailingBlanks() -> String {
        var text = self[...]
        while text.last == " " { text = text.dropLast() }
        return String(text)
    }

    /// The text with control characters replaced, which could otherwise send escape sequences to a terminal.
    package var printable: String {
        String(
            String.UnicodeScalarView(unicodeScalars.map { $0.properties.generalCategory == .control ? "\u{FFFD}" : $0 })
        )
    }
}
