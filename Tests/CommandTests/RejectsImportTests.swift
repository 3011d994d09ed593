import Foundation
import TestSupport
import Testing

/// Bad lines of imports: kept in a file for correction, and listed by a dry run.
@Suite struct RejectsImportTests {
    private static let jobs = "SELECT store_id, item_id, quantity FROM stockq.jobs ORDER BY job_id"

    /// A file without its byte order mark.
    private static func text(_ path: String) throws -> (String, hasMark: Bool) {
        let bytes = Array(try Data(contentsOf: URL(fileURLWithPath: path)))
        let hasMark = bytes.starts(with: [0xEF, 0xBB, 0xBF])
        return (String(decoding: hasMark ? bytes.dropFirst(3) : bytes[...], as: UTF8.self), hasMark)
    }

    @Test("bad lines keep their number and reason over several imports", arguments: [";", ","])
    func rejects(separator: String) async throws {
        try await withDatabase { database in
            let path = NSTemporaryDirectory() + "stockq-rejects-\(UUID().uuidString).csv"
            let second = path + ".2"
            defer { for file in [path, second] { try? FileManager.default.removeItem(atPath: file) } }
            func text(_ commas: String) -> String { commas.replacingOccurrences(of: ",", with: separator) }
            let program = Program(database)
            let done = try program.run(
                ["import", "-", "--rejects", path],
                input: text("\u{FEFF}store_id,item_id,quantity\ns,a,1\ns,b,\"t\"\"w\"\ns,c\"\"\n"))
            #expect(done.code == 1)
            let (kept, hasMark) = try Self.text(path)
            #expect(hasMark)
            #expect(
                kept
                    == text(
                        """
                        _line,_problem,store_id,item_id,quantity
                        3,"quantity must be a whole number@ not 't""w'",s,b,"t""w"
                        4,"quote in an unquoted field",s,c""

                        """
                    ).replacingOccurrences(of: "@", with: ","))
            let again = try program.run(["import", path, "--rejects", second])
            #expect(again.code == 1)
            let keptAgain = try String(contentsOfFile: second, encoding: .utf8)
            #expect(keptAgain.contains(text("\n3,\"quantity must be")), "\(keptAgain)")
            #expect(keptAgain.components(separatedBy: "_problem").count == 2)
            try kept.replacingOccurrences(of: "\"t\"\"w\"", with: "2")
                .replacingOccurrences(of: "c\"\"", with: "c\(separator)3")
                .write(toFile: path, atomically: true, encoding: .utf8)
            #expect(try program.run(["import", path]).code == 0)
            #expect(try database.rows(Self.jobs) == ["s,a,1", "s,b,2", "s,c,3"])
        }
    }

    @Test("a file of rejects with content is left as it is", arguments: [[], ["--dry-run"]])
    func keptRejects(options: [String]) async throws {
        try await withDatabase { database in
            let path = NSTemporaryDirectory() + "stockq-rejects-\(UUID().uuidString).csv"
            defer { try? FileManager.default.removeItem(atPath: path) }
            try "corrected\n".write(toFile: path, atomically: true, encoding: .utf8)
            let words = ["import", "-", "--rejects", path] + options
            let refused = try Program(database).run(words, input: "store_id,item_id,quantity\ns,a,x\n")
            #expect(refused.code == 1)
            #expect(refused.err.contains("is not empty; name another file, or remove it"), "\(refused.err)")
            #expect(try String(contentsOfFile: path, encoding: .utf8) == "corrected\n")
            #expect(try database.queuedJobs() == 0)
        }
    }

    @Test(
        "bad lines of another encoding are kept in UTF-8 with a mark and read again by the same options",
        arguments: [true, false])
    func rejectsOfEncoding(isUTF16: Bool) async throws {
        try await withDatabase { database in
            let path = NSTemporaryDirectory() + "stockq-rejects-\(UUID().uuidString).csv"
            defer { try? FileManager.default.removeItem(atPath: path) }
            let text = "store_id;item_id;quantity\nZürich;Käse;x\n"
            let bytes =
                isUTF16
                ? text.utf16.flatMap { [UInt8($0 & 255), UInt8($0 >> 8)] } : text.unicodeScalars.map { UInt8($0.value) }
            let options = ["--encoding", isUTF16 ? "utf-16" : "windows-1252"]
            let program = Program(database)
            #expect(try program.run(["import", "-", "--rejects", path] + options, input: bytes).code == 1)
            let (kept, hasMark) = try Self.text(path)
            #expect(hasMark && kept.hasSuffix(";Zürich;Käse;x\n"), "\(kept)")
            let corrected = [0xEF, 0xBB, 0xBF] + Array(kept.replacing("Käse;x", with: "Käse;2").utf8)
            try Data(corrected).write(to: URL(fileURLWithPath: path))
            let again = try program.run(["import", path] + options)
            #expect(again.code == 0, "\(again.err)")
            #expect(try database.rows(Self.jobs) == ["Zürich,Käse,2"])
        }
    }

    @Test("bad objects get their number and reason as keys that an import does not read") func rejectedObjects()
        async throws
    {
        try await withDatabase { database in
            let path = NSTemporaryDirectory() + "stockq-rejects-\(UUID().uuidString).ndjson"
            defer { try? FileManager.default.removeItem(atPath: path) }
            let program = Program(database)
            let done = try program.run(
                ["import", "-", "--format", "ndjson", "--rejects", path],
                input: "{\"store_id\":\"s\",\"item_id\":\"a\"}\n{}\nnone\n")
            #expect(done.code == 1)
            let kept = try String(contentsOfFile: path, encoding: .utf8)
            #expect(
                kept == """
                    {"_line":1,"_problem":"quantity is empty","store_id":"s","item_id":"a"}
                    {"_line":2,"_problem":"store_id is empty"}
                    none

                    """)
            let second = path + ".2"
            defer { try? FileManager.default.removeItem(atPath: second) }
            let again = try program.run(
                ["import", path, "--set", "quantity=4", "--format", "ndjson", "--rejects", second])
            #expect(again.err.contains("line 2: store_id is empty"), "\(again.err)")
            #expect(try database.rows(Self.jobs) == ["s,a,4"])
            let keptAgain = try String(contentsOfFile: second, encoding: .utf8)
            #expect(
                keptAgain == "{\"_line\":2,\"_problem\":\"store_id is empty\"}\nnone\n", "\(keptAgain)")
        }
    }

    @Test("a dry run lists what each line would do") func dryRunLines() async throws {
        try await withDatabase { database in
            try database.run("INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 3)")
            let text = "store_id,item_id,quantity\ns,a,-2\ns,a,x\ns,a,-2\ns,b,-1\n"
            let program = Program(database)
            let csv = try program.run(["import", "-", "--dry-run", "--csv"], input: text)
            #expect(csv.code == 1)
            #expect(csv.err == "4 read, 1 bad line; nothing was enqueued\n")
            #expect(
                csv.out.split(separator: "\n").dropFirst() == [
                    "2,s,a,main,-2,applied,,-2,3,1,", "3,,,,,bad_line,,,,,\"quantity must be a whole number, not 'x'\"",
                    "4,s,a,main,-2,rejected,insufficient_stock,0,1,1,", "5,s,b,main,-1,rejected,unknown_item,0,,,",
                ])
            let json = try program.run(["import", "-", "--dry-run", "--lines", "--json"], input: text)
            #expect(json.out.split(separator: "\n").count == 4, "\(json.out)")
            #expect(json.out.contains(#""line":4,"store_id":"s","item_id":"a""#))
            let table = try program.run(["import", "-", "--dry-run", "--lines"], input: text)
            #expect(table.out.contains("line 2: applied: s/a -2; available 3 → 1"), "\(table.out)")
            #expect(try database.value("SELECT count(*) FROM stockq.jobs") == "0")
            #expect(try program.run(["import", "-", "--csv"], input: text).err.contains("need --dry-run"))
        }
    }
}
