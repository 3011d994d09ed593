import Foundation

/// Quotes a name for use in SQL, as the server's `quote_ident` does when it must.
package func quoteIdentifier(_ name: String) -> String {
    "\"" + name.replacingOccurrences(of: "\"", with: "\"\"") + "\""
}

/// Quotes a text for use in SQL with `standard_conforming_strings` on.
package func quoteLiteral(_ text: String) -> String {
    "'" + text.replacingOccurrences(of: "'", with: "''") + "'"
}
