internal import CLibPQ
import Foundation

/// What a connection string of libpq looks like, and where its secrets are.
package enum ConnectionString {
    /// Checks that libpq reads the string as its author meant it.
    ///
    /// libpq quotes what it cannot read in its messages, password and all, so the messages are our own.
    static func check(_ text: String) throws(PostgresError) {
        if hasMisplacedAt(text) {
            throw unreadable(
                "the database URL has an unescaped @ or / in its user name or password; write @ as %40 and / as %2F")
        }
        // A plain word is a database name, which the parser does not take and PQconnectdbParams does.
        if options(of: text) == nil, text.contains(where: { "=@:/".contains($0) }) {
            throw unreadable(
                "the database URL cannot be read; it looks like postgresql://user:password@host:5432/database")
        }
    }

    private static func unreadable(_ message: String) -> PostgresError {
        PostgresError(kind: .cannotConnect, sqlState: .cannotEstablishConnection, message: message)
    }

    /// The bytes of an argument that other users must not see, because they are a password or may be one.
    ///
    /// Rather too much than too little: of a string that libpq cannot read it is everything.
    package static func secretBytes(in text: String) -> Range<Int>? {
        let bytes = Array(text.utf8)
        let authority = authorityStart(bytes)
        guard let options = options(of: text), !hasMisplacedAt(text) else {
            return authority != nil || secretValueStart(bytes[...]) != nil ? 0..<bytes.count : nil
        }
        if !options.keys.contains(where: secretNames.contains) { return nil }
        guard let authority else {
            // Keywords and values: from the first secret on, whatever follows it.
            return (secretValueStart(bytes[...]) ?? 0)..<bytes.count
        }
        let (user, hosts) = parts(bytes[authority...])
        let query = hosts.firstIndex(of: UInt8(ascii: "?")) ?? hosts.endIndex
        guard let colon = user.firstIndex(of: UInt8(ascii: ":")) else { return query..<bytes.count }
        let hasSecretQuery =
            secretValueStart(hosts[query...]) != nil || hosts[query...].contains(UInt8(ascii: "%"))
        return (colon + 1)..<(hasSecretQuery ? bytes.count : user.endIndex)
    }

    private static let secretNames: Set<String> = ["password", "sslpassword"]

    private static let schemes = ["postgresql://", "postgres://"]

    /// Where a URL's user, password and hosts begin; nil for a string that is no URL.
    private static func authorityStart(_ bytes: [UInt8]) -> Int? {
        schemes.first { bytes.starts(with: $0.utf8) }?.utf8.count
    }

    /// What is behind `postgresql://`, as libpq divides it: user and password end at the first @ that comes before a /.
    private static func parts(_ rest: ArraySlice<UInt8>) -> (user: ArraySlice<UInt8>, hosts: ArraySlice<UInt8>) {
        let end = rest.firstIndex { $0 == UInt8(ascii: "@") || $0 == UInt8(ascii: "/") }
        guard let end, rest[end] == UInt8(ascii: "@") else { return (rest.prefix(0), rest) }
        return (rest[..<end], rest[(end + 1)...])
    }

    /// Another @ belongs to no host and to no database: the password has an @ or a / in it.
    private static func hasMisplacedAt(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        guard let authority = authorityStart(bytes) else { return false }
        return parts(bytes[authority...]).hosts.prefix { $0 != UInt8(ascii: "?") }.contains(UInt8(ascii: "@"))
    }

    /// Where the value behind `password =` begins; nil where there is none.
    private static func secretValueStart(_ bytes: ArraySlice<UInt8>) -> Int? {
        let name = Array("password".utf8)
        for start in bytes.indices where bytes[start...].starts(with: name) {
            let end = bytes[(start + name.count)...].firstIndex { !isSpace($0) }
            if let end, bytes[end] == UInt8(ascii: "=") { return end + 1 }
        }
        return nil
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 32 || (9...13).contains(byte) }

    /// The value that the string gives an option; nil where it gives none, or where libpq cannot read it.
    static func value(of option: String, in text: String) -> String? { options(of: text)?[option] }

    /// The options that the string sets; nil if libpq cannot read it.
    private static func options(of text: String) -> [String: String]? {
        var message: UnsafeMutablePointer<CChar>?
        guard let parsed = PQconninfoParse(text, &message) else {
            if let message { PQfreemem(message) }
            return nil
        }
        defer { PQconninfoFree(parsed) }
        var values: [String: String] = [:]
        var option = parsed
        while let keyword = option.pointee.keyword {
            if let value = option.pointee.val { values[String(cString: keyword)] = String(cString: value) }
            option += 1
        }
        return values
    }
}
