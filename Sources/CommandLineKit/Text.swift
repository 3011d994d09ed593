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

/// Rows as columns, the first row being the heading; columns of numbers are aligned to the right. On a terminal it fits
/// the width.
package func table(_ rows: [[String]], optional: Set<Int> = [], shortened: Set<Int> = []) -> String {
    guard let heading = rows.first else { return "" }
    return TextTable(
        headings: heading, rows: rows.dropFirst().map { $0.map { TextTable.Cell($0) } }, optional: optional,
        shortened: shortened
    ).text(columns: Terminal.outputColumns, usesColor: false)
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

    /// The text in lines of at most so many columns, broken at blanks. Further lines are indented by two more columns
    /// than the first. A word that is wider than a line stays whole, so that it can be copied.
    package func wrapped(toColumns columns: Int) -> [String] {
        if displayColumns(self) <= columns { return [self] }
        let indent = String(prefix { $0 == " " })
        var lines: [String] = []
        var line = indent
        var isEmpty = true
        // Columns of a line stay apart: a gap is as wide as it was.
        var gap = ""
        for word in dropFirst(indent.count).split(separator: " ", omittingEmptySubsequences: false) {
            if word.isEmpty {
                gap += " "
                continue
            }
            if !isEmpty, displayColumns(line + gap) + 1 + displayColumns(String(word)) > columns {
                lines.append(line)
                (line, isEmpty) = (indent + "  ", true)
            }
            line += (isEmpty ? "" : gap + " ") + word
            (isEmpty, gap) = (false, "")
        }
        return lines + [line]
    }

    func trimmingTrailingBlanks() -> String {
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
