import Foundation
import StockModel
import StockQueue
import TestSupport
import Testing

/// The table of job fields agrees with the database and with the reference page.
@Suite struct JobFieldTests {
    @Test("defaults and types are those of the table")
    func columns() async throws {
        try await withDatabase { database in
            try database.run("INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('s', 'a', 1)")
            for field in JobField.allCases where !field.isRequired {
                let value = try database.value("SELECT coalesce(\(field.rawValue)::text, '–') FROM stockq.jobs")
                #expect(value == field.defaultText ?? "–", "\(field.rawValue)")
            }
        }
    }

    @Test("the arguments of the SQL functions have the fields' types")
    func arguments() async throws {
        try await withDatabase { database in
            func types(of function: String) throws -> [String: String] {
                let rows = try database.rows(
                    """
                    SELECT name || ' ' || format_type(type, NULL)
                    FROM pg_proc, unnest(proargnames, proargtypes::oid[]) AS argument (name, type)
                    WHERE oid = 'stockq.\(function)'::regproc AND type IS NOT NULL
                    """)
                return Dictionary(
                    uniqueKeysWithValues: rows.map { row in
                        let parts = row.split(separator: " ", maxSplits: 1).map { String($0) }
                        return (parts[0], parts[1].replacing("timestamp with time zone", with: "timestamptz"))
                    })
            }
            let single = try types(of: "enqueue")
            #expect(Set(single.keys) == Set(JobField.allCases.map(\.rawValue)))
            let list = try types(of: "enqueue_arrays")
            for definition in JobField.allCases.map(\.definition) {
                #expect(single[definition.name] == definition.sqlType.rawValue)
                let expected = definition.sqlType.rawValue + (definition.listArgument == nil ? "" : "[]")
                #expect(list[definition.listArgument ?? definition.name] == expected)
            }
        }
    }

    @Test("results keep the fields that the table of fields says")
    func resultColumns() async throws {
        try await withDatabase { database in
            let columns = Set(
                try database.rows(
                    "SELECT attname FROM pg_attribute WHERE attrelid = 'stockq.results'::regclass AND attnum > 0"))
            for definition in JobField.allCases.map(\.definition) {
                #expect(columns.contains(definition.name) == definition.isKeptInResult, "\(definition.name)")
            }
        }
    }

    @Test("the reference page lists each field with its default")
    func referencePage() throws {
        let page = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("docs/reference/columns.md")
        let text = try String(contentsOf: page, encoding: .utf8)
        let section = try #require(
            text.split(separator: "\n## ").first { $0.contains("# Jobs") || $0.hasPrefix("Jobs") })
        var documented: [String: String] = [:]
        for line in section.split(separator: "\n") where line.hasPrefix("| `") {
            let cells = line.split(separator: "|", omittingEmptySubsequences: false).map {
                $0.trimmingCharacters(in: .whitespaces).replacing("`", with: "")
            }
            let names = cells[1].split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
            let defaults = cells[2].split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
            for (index, name) in names.enumerated() {
                #expect(documented[name] == nil, "\(name) is listed twice")
                documented[name] = index < defaults.count ? defaults[index] : ""
            }
        }
        #expect(Set(documented.keys) == Set(JobField.allCases.map(\.rawValue)))
        let otherWords: [JobField: String] = [.priority: "2 (imports 3)", .orderingKey: "the store"]
        for field in JobField.allCases {
            #expect(documented[field.rawValue] == otherWords[field] ?? field.defaultText ?? "", "\(field.rawValue)")
        }
    }
}
