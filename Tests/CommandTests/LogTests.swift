import Foundation
import StockModel
import StockQueuePostgres
import TestSupport
import Testing

/// The log of `stockq run`.
@Suite struct LogTests {
    /// Names of items that would send escape sequences to a terminal, or break a log into more lines.
    static let names = [
        "\u{1B}[2J", "\u{1B}]0;title\u{07}", "\r\u{1B}[K", "a\nb", "a\r\nlevel=info event=stopped", "a\tb", "a\u{08}b",
        "a\"b'c\\d", "100%s%n%d", "a=b c", "a\u{7F}b", "\u{9B}2J", "a\u{85}b", "a\u{202E}b\u{200B}",
    ]

    /// The server's message quotes the name without escaping it.
    @Test("characters in a name that a terminal obeys do not break a log line") func controlCharacters() async throws {
        try await withDatabase { database in
            try database.run(
                """
                -- Earlier releases took such names.
                ALTER TABLE stockq.jobs DROP CONSTRAINT jobs_ids_visible;
                ALTER TABLE stockq.items DISABLE TRIGGER open_item;
                ALTER TABLE stockq.results ADD CONSTRAINT trap
                CHECK (CASE WHEN outcome = 'failed' THEN true ELSE item_id::bigint > 0 END)
                """)
            for name in Self.names {
                let literal = quoteLiteral(name)
                try database.run(
                    """
                    INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', \(literal), 10);
                    INSERT INTO stockq.jobs (store_id, item_id, quantity, max_attempts) VALUES ('s', \(literal), -1, 1)
                    """)
            }
            let ended = try Program(database).run(["run", "--drain", "--log-level", "debug"])
            #expect(ended.code == 0, "\(ended.err)")
            let raw = ended.err.unicodeScalars.filter { $0 != "\n" && VisibleText.isHidden($0) }
            #expect(raw.isEmpty, "\(ended.err.debugDescription)")
            // By bytes, since "\r\n" would be one character.
            let lines = ended.err.utf8.split(separator: UInt8(ascii: "\n")).map { String(decoding: $0, as: UTF8.self) }
            #expect(lines.allSatisfy { $0.hasPrefix("time=") }, "\(lines)")
            let failures = lines.filter { $0.contains(" event=job_failed ") }
            #expect(failures.count == Self.names.count, "\(lines)")
            for (number, name) in Self.names.enumerated() {
                let line = try #require(failures.first { $0.contains(" job=\(number + 1) ") })
                let error = try #require(line.firstRange(of: " error="))
                let text = try JSONDecoder().decode(String.self, from: Data(line[error.upperBound...].utf8))
                #expect(text.contains("\"\(name)\" (SQLSTATE 22P02)"), "\(line)")
            }
        }
    }
}
