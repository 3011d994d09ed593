/// The nearest known word to one that is not known.
package enum Suggestion {
    /// `; did you mean 'result'?`, or nothing where no known word is near.
    package static func text(for word: String, among known: [String], shown: (String) -> String) -> String {
        let near = known.map { ($0, distance(word, $0)) }.min { $0.1 < $1.1 }
        // A third of the word may be wrong.
        guard let near, near.1 <= max(1, word.count / 3) else { return "" }
        return "; did you mean \(shown(near.0))?"
    }

    /// How many letters must be inserted, removed, replaced or swapped with their neighbor to make one word of the
    /// other (optimal string alignment distance).
    static func distance(_ first: String, _ second: String) -> Int {
        let (a, b) = (Array(first.prefix(64)), Array(second.prefix(64)))
        var rows = [Array(0...b.count)]
        for i in a.indices {
            var row = [i + 1]
            for j in b.indices {
                var best = min(rows[i][j + 1] + 1, row[j] + 1, rows[i][j] + (a[i] == b[j] ? 0 : 1))
                if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { best = min(best, rows[i - 1][j - 1] + 1) }
                row.append(best)
            }
            rows.append(row)
        }
        return rows[a.count][b.count]
    }
}
