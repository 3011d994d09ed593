import Foundation
import StockQueuePostgres
import TestSupport
import Testing

/// Imports of inputs that are still written, that are too large, or that are something else.
@Suite(.timeLimit(.minutes(15))) struct LiveImportTests {
    private static let header = "store_id,item_id,quantity,group_id\n"

    private static func jobs(_ database: TestDatabase) throws -> [String] {
        try database.rows("SELECT concat_ws(' ', item_id, quantity) FROM stockq.jobs ORDER BY job_id")
    }

    private static func openTransactions(_ database: TestDatabase) throws -> String {
        try database.value(
            """
            SELECT count(*) FROM pg_stat_activity
            WHERE application_name = 'stockq import' AND datname = current_database() AND state LIKE 'idle in%'
            """)
    }

    @Test("no transaction is open while rows wait for their commit") func noOpenTransaction() async throws {
        try await withDatabase { database in
            let pipe = try NamedPipe()
            defer { pipe.close() }
            let importing = try Program(database).start(
                ["import", pipe.path, "--format", "csv", "--commit-interval", "1h"])
            // When the program reads a line, it has done all that it does with the one before.
            for number in 1...3 {
                try pipe.write("\(number == 1 ? Self.header : "")s,a,\(number),\n")
                #expect(eventually { pipe.unreadBytes == 0 })
            }
            #expect(try Self.openTransactions(database) == "0")
            #expect(try Self.jobs(database).isEmpty)
            importing.send(SIGTERM)
            #expect(try importing.wait().code == 130)
        }
    }

    @Test(
        "lines are enqueued while the input is still written, in any encoding",
        arguments: [[], ["--encoding", "windows-1252"]])
    func commitInTime(encoding: [String]) async throws {
        try await withDatabase { database in
            let pipe = try NamedPipe()
            defer { pipe.close() }
            let importing = try Program(database).start(
                ["import", pipe.path, "--format", "csv", "--commit-interval", "50ms"] + encoding)
            for number in 1...3 {
                try pipe.write("\(number == 1 ? Self.header : "")s,a,\(number),\n")
                #expect(try eventually { try Self.jobs(database).count == number })
                #expect(try eventually { try Self.openTransactions(database) == "0" })
            }
            #expect(!importing.hasEnded)
            importing.send(SIGTERM)
            let ended = try importing.wait()
            #expect(ended.code == 130)
            #expect(
                ended.err.hasPrefix(
                    "import stopped: 3 jobs enqueued (through line 4); resume with --resume stockq-pipe-"))
        }
    }

    @Test("a group that is still written is not cut") func groupInTime() async throws {
        try await withDatabase { database in
            let pipe = try NamedPipe()
            defer { pipe.close() }
            let importing = try Program(database).start(
                ["import", pipe.path, "--format", "csv", "--commit-interval", "50ms"])
            try pipe.write("\(Self.header)s,a,1,\ns,b,1,g\ns,b,2,g\n")
            #expect(try eventually { try Self.jobs(database) == ["a 1"] })
            // A batch of later lines: had the group's lines been committed, its third line would be another group.
            try pipe.write("s,b,3,g\ns,c,1,\n")
            #expect(try eventually { try Self.jobs(database).count == 5 })
            #expect(try Self.jobs(database) == ["a 1", "b 1", "b 2", "b 3", "c 1"])
            #expect(
                try database.value("SELECT count(DISTINCT submission_id) FROM stockq.jobs WHERE group_id = 'g'") == "1")
            importing.send(SIGTERM)
            #expect(try importing.wait().code == 130)
        }
    }

    @Test("a strict import enqueues nothing before the end of its input") func strict() async throws {
        try await withDatabase { database in
            let pipe = try NamedPipe()
            let importing = try Program(database).start(
                ["import", pipe.path, "--format", "csv", "--commit-interval", "1ms", "--strict"])
            try pipe.write("\(Self.header)s,a,1,\ns,a,2,\ns,a,x,\n")
            let ended = try importing.wait()
            pipe.close()
            #expect(ended.code == 1 && ended.err.contains("nothing was enqueued"))
            #expect(try Self.jobs(database) == [])
        }
    }

    // MARK: large records

    @Test("a record that is far too long is refused without being kept", arguments: ["csv", "ndjson"])
    func hugeRecord(format: String) async throws {
        try await withDatabase { database in
            var program = Program(database)
            program.environment["HEAD"] = format == "csv" ? "store_id,item_id,quantity" : ""
            program.environment["GOOD"] = format == "csv" ? "s,a,1" : #"{"store_id":"s","item_id":"a","quantity":1}"#
            let rejects = NSTemporaryDirectory() + "stockq-rejects-\(UUID().uuidString)"
            defer { try? FileManager.default.removeItem(atPath: rejects) }
            func peak(_ megabytes: Int) throws -> Int {
                try? FileManager.default.removeItem(atPath: rejects)
                let ended = try program.runInShell(
                    "import - --format \(format) --json --rejects \(rejects)", "",
                    before:
                        "{ echo \"$HEAD\"; head -c \(megabytes)000000 /dev/zero | tr '\\0' x; echo; echo \"$GOOD\"; } | "
                )
                #expect(ended.code == 1)
                #expect(ended.err.contains("line 2: a record of more than 1048576 bytes"), "\(ended.err)")
                struct Summary: Decodable {
                    var enqueued: Int
                    var rejected: Int
                    var peakRssKib: Int
                }
                let decoder = JSONDecoder()
                decoder.keyDecodingStrategy = .convertFromSnakeCase
                let summary = try decoder.decode(Summary.self, from: Data(ended.out.utf8))
                #expect(summary.enqueued == 1 && summary.rejected == 1)
                let kept = try FileManager.default.attributesOfItem(atPath: rejects)[.size] as? Int
                #expect((1_048_576...1_048_800).contains(kept ?? 0), "its beginning is kept")
                return summary.peakRssKib
            }
            let small = try peak(2)
            let large = try peak(40)
            #expect(large < small + 10_000, "\(small) KiB with 2 MB, \(large) KiB with 40 MB")
        }
    }

    // MARK: other formats

    private static func utf16(_ text: String) -> [UInt8] { text.utf16.flatMap { [UInt8($0 & 255), UInt8($0 >> 8)] } }

    private static let foreign: [(name: String, bytes: [UInt8], message: String)] = [
        ("gzip", [0x1F, 0x8B, 0x08, 0x00], "the input is compressed with gzip; decompress it first (zcat)"),
        ("zstd", [0x28, 0xB5, 0x2F, 0xFD], "compressed with zstd"),
        ("xz", [0xFD, 0x37, 0x7A, 0x58, 0x5A, 0x00], "compressed with xz"),
        ("bzip2", Array("BZh9".utf8), "compressed with bzip2"),
        (
            "xlsx", Array("PK".utf8) + [3, 4, 20, 0],
            "an Excel workbook (.xlsx); unpack it, or save the sheet as CSV in UTF-8"
        ),
        ("xls", [0xD0, 0xCF, 0x11, 0xE0, 0xA1], "an Excel workbook (.xls); save the sheet as CSV in UTF-8"),
        (
            "JSON in UTF-16", [0xFF, 0xFE] + utf16("{\"store_id\":1}"),
            "the input is JSON and is read as CSV; give the format ndjson"
        ),
        (
            "JSON array", Array("[{\"store_id\":1}]".utf8),
            "the input is a JSON array; write one object a line (jq -c '.[]')"
        ),
        ("JSON array with a mark", [0xEF, 0xBB, 0xBF] + Array("[1]".utf8), "the input is a JSON array"),
        ("JSON as CSV", Array("{\"store_id\":1}".utf8), "the input is JSON and is read as CSV; give the format ndjson"),
        ("empty", [], "the file is empty"),
    ]

    @Test("an input of another format is named for what it is", arguments: [["import"], ["items", "import"]])
    func otherFormats(command: [String]) async throws {
        try await withDatabase { database in
            for (name, bytes, message) in Self.foreign {
                let ended = try Program(database).run(command + ["-"], input: bytes)
                #expect(ended.code == 1, "\(name)")
                #expect(ended.err.contains(message), "\(name): \(ended.err)")
                #expect(ended.err.hasPrefix("stockq: ") && ended.err.utf8.count < 200)
            }
            let array = try Program(database).run(command + ["-", "--format", "ndjson"], input: "[\n{}\n]\n")
            #expect(array.err.contains("the input is a JSON array"))
        }
    }
}
