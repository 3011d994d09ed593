import StockModel
import StockQueuePostgres

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

/// A count with its noun: `1 job`, `2,000 jobs`.
///
/// - Parameter plural: where it is not the noun with an s.
package func counted(_ number: some BinaryInteger, _ noun: String, _ plural: String? = nil) -> String {
    "\(grouped(number)) \(number == 1 ? noun : plural ?? noun + "s")"
}

/// The first words of a list that may be of any length, and how many follow.
package func shortList(_ words: [String], max: Int = 10, separator: String = " ") -> String {
    let shown = words.prefix(max).map(\.shown).joined(separator: separator)
    return words.count > max ? "\(shown) … and \(grouped(words.count - max)) more" : shown
}

/// Rows as columns, the first row being the heading; columns of numbers are aligned to the right.
package func table(_ rows: [[String]]) -> String {
    guard let heading = rows.first else { return "" }
    let widths = heading.indices.map { column in rows.map { displayColumns($0[column]) }.max() ?? 0 }
    let isNumber = heading.indices.map { column in
        rows.count > 1 && rows.dropFirst().allSatisfy { $0[column].allSatisfy { "0123456789,.-+–%".contains($0) } }
    }
    return rows.map { row in
        row.indices.map { column in
            let fill = String(repeating: " ", count: widths[column] - displayColumns(row[column]))
            return isNumber[column] ? fill + row[column] : row[column] + fill
        }.joined(separator: "  ").trimmingTrailingBlanks()
    }.joined(separator: "\n")
}

extension String {
    package func padding(toWidth width: Int) -> String {
        self + String(repeating: " ", count: max(0, width - displayColumns(self)))
    }

    /// The text on one line, ended by `…` where it takes more columns than that. It reads no more of a long text than
    /// it shows.
    package func printable(toColumns columns: Int) -> String {
        // A character has at least one scalar a column, but for marks above a letter.
        String(unicodeScalars.prefix(4 * columns)).printable.cut(toColumns: columns)
    }

    /// The text, ended by `…` where it takes more columns than that.
    package func cut(toColumns columns: Int) -> String {
        if displayColumns(self) <= columns { return self }
        var cut = ""
        var taken = 0
        for character in self {
            taken += displayColumns(String(character))
            if taken >= columns { break }
            cut.append(character)
        }
        return columns > 0 ? cut + "…" : ""
    }

    fileprivate func trimmingTrailingBlanks() -> String {
        var text = self[...]
        while text.last == " " { text = text.dropLast() }
        return String(text)
    }

    /// The text on one line, with the characters as escapes that a terminal obeys or does not show.
    package var printable: String { VisibleText.escaped(self) }

    /// The same of a text that may be of any length: its beginning.
    package var shown: String {
        let beginning = unicodeScalars.prefix(Self.shownMax)
        return String(beginning).printable + (beginning.endIndex < unicodeScalars.endIndex ? "…" : "")
    }

    private static let shownMax = 60

    /// A name as a message shows it: whole, unless it is longer than any valid one.
    package var shownName: String { printable.cut(toColumns: Self.nameColumnsMax) }

    private static let nameColumnsMax = 400
}
