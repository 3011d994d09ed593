import StockModel
import StockQueuePostgres

/// A style of text on a terminal.
package enum TextStyle: String, Sendable {
    /// Red: something is wrong, or used up.
    case bad = "31"
    /// Yellow: something needs attention.
    case warning = "33"

    /// The text between the escapes that switch the style on and off.
    package func styled(_ text: String) -> String { "\u{1B}[\(rawValue)m\(text)\u{1B}[0m" }
}

/// Rows as columns. On a terminal the table fits the width; elsewhere each row is one line.
package struct TextTable {
    package struct Cell: Sendable, ExpressibleByStringLiteral {
        package let text: String
        package let style: TextStyle?

        package init(_ text: String, style: TextStyle? = nil) {
            (self.text, self.style) = (text.printable, style)
        }

        package init(stringLiteral value: String) { self.init(value) }

        private init(escaped text: String, style: TextStyle?) { (self.text, self.style) = (text, style) }

        func cut(toColumns columns: Int) -> Cell { Cell(escaped: text.cut(toColumns: columns), style: style) }

        /// It says nothing: there is no value.
        var isEmpty: Bool { text.isEmpty || text == "–" }
    }

    let headings: [String]
    let rows: [[Cell]]
    /// The columns that a narrow terminal does without, the last of them first.
    let optional: Set<Int>
    /// The columns of which a narrow terminal shows the beginning, if that is enough: texts of any length.
    let shortened: Set<Int>

    package init(headings: [String], rows: [[Cell]], optional: Set<Int> = [], shortened: Set<Int> = []) {
        (self.headings, self.rows, self.optional, self.shortened) = (headings, rows, optional, shortened)
    }

    private static let gap = 2
    private static let foldIndent = 4
    /// Less of a text would say too little.
    private static let shortenedMin = 16

    /// The table's lines.
    ///
    /// A table that is too wide leaves out the columns in which no row has a value, then cuts long texts, and then leaves
    /// out the optional columns. If that is not enough, the last columns follow below each row, as `heading: value`, and
    /// no value is cut.
    ///
    /// - Parameters:
    ///   - columns: of the terminal; nil for no limit.
    ///   - usesColor: whether styles are shown.
    package func text(columns: Int?, usesColor: Bool) -> String {
        var shown = Array(headings.indices)
        var folded: [Int] = []
        if let columns {
            if width(of: shown) > columns, !rows.isEmpty {
                shown.removeAll { column in rows.allSatisfy { $0[column].isEmpty } }
            }
            let widths = headings.indices.map(width)
            for column in optional.sorted(by: >) where cutWidths(widths, of: shown, columns) == nil {
                shown.removeAll { $0 == column }
            }
            if let widths = cutWidths(widths, of: shown, columns) {
                return cut(to: widths).text(shown, [], columns, usesColor: usesColor)
            }
            while shown.count > 1, width(of: shown) > columns { folded.insert(shown.removeLast(), at: 0) }
        }
        return text(shown, folded, columns, usesColor: usesColor)
    }

    /// The widths of the columns with long texts cut, so that those shown fit; nil where they do not fit then either.
    private func cutWidths(_ widths: [Int], of shown: [Int], _ columns: Int) -> [Int]? {
        var widths = widths
        var excess = shown.reduce(Self.gap * max(0, shown.count - 1) - columns) { $0 + widths[$1] }
        while excess > 0 {
            let widest = shown.filter { shortened.contains($0) && widths[$0] > least($0) }.max {
                widths[$0] < widths[$1]
            }
            guard let widest else { return nil }
            widths[widest] -= 1
            excess -= 1
        }
        return widths
    }

    private func cut(to widths: [Int]) -> TextTable {
        let rows = rows.map { row in
            row.indices.map { shortened.contains($0) ? row[$0].cut(toColumns: widths[$0]) : row[$0] }
        }
        return TextTable(headings: headings, rows: rows, optional: optional, shortened: shortened)
    }

    private func least(_ column: Int) -> Int { max(Self.shortenedMin, displayColumns(headings[column])) }

    private func text(_ shown: [Int], _ folded: [Int], _ columns: Int?, usesColor: Bool) -> String {
        var lines = [line(shown.map { Cell(headings[$0]) }, shown, usesColor: false)]
        for row in rows {
            lines.append(line(shown.map { row[$0] }, shown, usesColor: usesColor))
            if let columns, !folded.isEmpty { lines += Self.below(folded.map { (headings[$0], row[$0]) }, columns) }
        }
        return lines.joined(separator: "\n")
    }

    private func width(of shown: [Int]) -> Int {
        shown.map(width).reduce(0, +) + Self.gap * max(0, shown.count - 1)
    }

    private func width(_ column: Int) -> Int {
        max(displayColumns(headings[column]), rows.map { displayColumns($0[column].text) }.max() ?? 0)
    }

    private func isNumber(_ column: Int) -> Bool {
        !rows.isEmpty && rows.allSatisfy { $0[column].text.allSatisfy { "0123456789,.-+–%".contains($0) } }
    }

    private func line(_ cells: [Cell], _ shown: [Int], usesColor: Bool) -> String {
        let padded = zip(cells, shown).map { cell, column in
            let fill = String(repeating: " ", count: max(0, width(column) - displayColumns(cell.text)))
            let text = if let style = cell.style, usesColor { style.styled(cell.text) } else { cell.text }
            return isNumber(column) ? fill + text : text + fill
        }
        return padded.joined(separator: String(repeating: " ", count: Self.gap)).trimmingTrailingBlanks()
    }

    /// The values of a row that did not fit into it, as many on a line as fit.
    private static func below(_ cells: [(heading: String, cell: Cell)], _ columns: Int) -> [String] {
        let indent = String(repeating: " ", count: foldIndent)
        var lines: [String] = []
        for (heading, cell) in cells where !cell.isEmpty {
            let part = "\(heading): \(cell.text)"
            if let last = lines.last, displayColumns(last) + gap + displayColumns(part) <= columns {
                lines[lines.count - 1] = last + String(repeating: " ", count: gap) + part
            } else {
                lines.append(contentsOf: (indent + part).wrapped(toColumns: columns))
            }
        }
        return lines
    }
}
