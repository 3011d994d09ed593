internal import CLibPQ

/// The columns that a text takes on a terminal, as psql counts them: two for a character of East Asian scripts, none for
/// a combining mark.
package func displayColumns(_ text: String) -> Int {
    if text.utf8.allSatisfy({ $0 < 0x80 }) { return text.utf8.count }
    return text.withCString { start in
        var position = start
        var columns = 0
        while position.pointee != 0 {
            columns += max(0, Int(PQdsplen(position, utf8Encoding)))
            position += max(1, Int(PQmblen(position, utf8Encoding)))
        }
        return columns
    }
}

private let utf8Encoding = pg_char_to_encoding("UTF8")
