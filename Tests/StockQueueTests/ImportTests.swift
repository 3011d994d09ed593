import Foundation
import StockModel
import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// Imports from real files: good lines are enqueued, bad ones are reported with their number and the reason.
@Suite struct ImportTests {
    struct Done {
        var progress = ImportProgress()
        /// `line: reason`.
        var rejects: [String] = []
        /// The rejected records, unchanged.
        var rejected = ""
    }

    private static func importJobs(
        _ database: TestDatabase, _ text: String, _ change: (inout JobImport.Options) -> Void = { _ in }
    ) throws -> Done { try importJobs(database, bytes: Array(text.utf8), change) }

    private static func importJobs(
        _ database: TestDatabase, bytes: [UInt8], _ change: (inout JobImport.Options) -> Void = { _ in }
    ) throws -> Done {
        var options = JobImport.Options()
        change(&options)
        var done = Done()
        try withFile(bytes) { descriptor in
            var importer = try JobImport(
                connection: database.connect(), schema: .standard,
                // Small chunks, so that records fall across their borders.
                source: ByteSource(descriptor: descriptor, chunkBytes: 16), options: options,
                onReject: { error, raw in
                    done.rejects.append("\(error.line ?? 0): \(error.message)")
                    done.rejected += String(decoding: raw, as: UTF8.self)
                })
            done.progress = try importer.run()
        }
        return done
    }

    private static let jobs = """
        SELECT concat_ws('|', store_id, item_id, location_id, quantity, action, on_insufficient, group_id, priority, notify, reason)
        FROM stockq.jobs ORDER BY job_id
        """

    @Test("every column arrives") func everyColumnArrives() async throws {
        try await withDatabase { database in
            try database.run("SELECT stockq.set_time_limit(36500)")
            let done = try Self.importJobs(
                database,
                """
                store_id,item_id,location_id,quantity,action,on_insufficient,priority,run_at,expires_at,expected_available,ordering_key,notify,max_attempts,reason,reference
                s,a,back,-3,allocate,partial,1,2030-01-01T00:00:00Z,2031-01-01 00:00:00+02,5,k,false,7,why,ref

                """.replacingOccurrences(of: "-3", with: "3"))
            #expect(done.rejects == [])
            let row = try database.value(
                """
                SELECT concat_ws('|', store_id, item_id, location_id, quantity, action, on_insufficient, priority,
                    run_at AT TIME ZONE 'UTC', expires_at AT TIME ZONE 'UTC', expected_available, ordering_key, notify, max_attempts, reason, reference)
                FROM stockq.jobs
                """)
            #expect(row == "s|a|back|3|allocate|partial|1|2030-01-01 00:00:00|2030-12-31 22:00:00|5|k|f|7|why|ref")
        }
    }

    @Test("an empty field has the default") func emptyFieldsHaveTheDefaults() async throws {
        try await withDatabase { database in
            _ = try Self.importJobs(
                database,
                "store_id,item_id,quantity,location_id,action,on_insufficient,group_id,priority,notify,reason\ns,a,1,,,,,,,\n"
            )
            #expect(
                try database.rows(Self.jobs) == ["s|a|main|1|adjust|reject|3|t"], "imported jobs run after live orders")
        }
    }

    @Test("a quoted field may contain commas, quotes and line breaks") func quotedFieldsHoldCommasQuotesAndLineBreaks()
        async throws
    {
        try await withDatabase { database in
            let done = try Self.importJobs(
                database,
                "store_id,item_id,quantity,reason\r\ns,\"a,b\",1,\"say \"\"hi\"\"\r\nand\tgo\\n\"\r\nt,\"b\",2,\"\"\r\nbad\r\n"
            )
            #expect(done.rejects == ["5: 1 field, the header has 4"])
            #expect(try database.value("SELECT item_id FROM stockq.jobs WHERE store_id = 's'") == "a,b")
            #expect(
                try database.value(
                    "SELECT reason = E'say \"hi\"\\r\\nand\\tgo\\\\n' FROM stockq.jobs WHERE store_id = 's'") == "t")
            #expect(try database.value("SELECT reason IS NULL FROM stockq.jobs WHERE store_id = 't'") == "t")
        }
    }

    struct BadLine: Sendable, CustomTestStringConvertible {
        var bytes: [UInt8]
        var reason: String

        init(_ text: String, _ reason: String) {
            bytes = Array(text.utf8)
            self.reason = reason
        }

        init(bytes: [UInt8], _ reason: String) {
            self.bytes = bytes
            self.reason = reason
        }

        var testDescription: String { reason }
    }

    static let badLines = [
        BadLine("s,a,,adjust,reject,", "quantity is empty"),
        BadLine("s,a,x,adjust,reject,", "quantity must be a whole number, not 'x'"),
        BadLine("s,a,1.5,adjust,reject,", "quantity must be a whole number, not '1.5'"),
        BadLine("s,a,1e3,adjust,reject,", "quantity must be a whole number, not '1e3'"),
        BadLine("s,a,- 1,adjust,reject,", "quantity must be a whole number, not '- 1'"),
        BadLine(
            "s,a,9007199254740992,adjust,reject,",
            "quantity must be from -9007199254740991 to 9007199254740991, not 9007199254740992"),
        BadLine(
            "s,a,-9223372036854775808,adjust,reject,",
            "quantity must be from -9007199254740991 to 9007199254740991, not -9223372036854775808"),
        BadLine(
            "s,a,99999999999999999999,adjust,reject,",
            "quantity must be from -9007199254740991 to 9007199254740991, not 99999999999999999999"),
        BadLine("s,a,0,allocate,reject,", "quantity must be above 0 for allocate, not 0"),
        BadLine("s,a,-1,set,reject,", "quantity must not be below 0 for set, not -1"),
        BadLine("s,a,1,steal,reject,", "action must be one of adjust, allocate, deallocate, ship, set, not 'steal'"),
        BadLine("s,a,1,adjust,maybe,", "on_insufficient must be one of reject, allow, partial, wait, not 'maybe'"),
        BadLine("s,a,1,ship,wait,", "on_insufficient wait does not go with action ship"),
        BadLine(",a,1,adjust,reject,", "store_id is empty"),
        BadLine("s,,1,adjust,reject,", "item_id is empty"),
        BadLine(
            "s,\(String(repeating: "é", count: 100))x,1,adjust,reject,",
            "item_id has 201 bytes, at most 200 are allowed"),
        BadLine(
            "s,a,1,adjust,reject,tomorrow",
            "run_at must be a time with its zone like 2026-03-01T12:00:00Z, not 'tomorrow'"),
        BadLine(
            "s,a,1,adjust,reject,2026-02-30T12:00:00Z",
            "run_at must be a time with its zone like 2026-03-01T12:00:00Z, not '2026-02-30T12:00:00Z'"),
        BadLine("s,a,1", "3 fields, the header has 6"),
        BadLine("s,a,1,adjust,reject,,", "7 fields, the header has 6"),
        BadLine("s,a\"b,1,adjust,reject,", "a closing quote is missing"),
        BadLine("s,a\"b\"c,1,adjust,reject,", "quote in an unquoted field"),
        BadLine("s,\"a\"b,1,adjust,reject,", "unexpected text after a closing quote"),
        BadLine(bytes: Array("s,a".utf8) + [0] + Array(",1,adjust,reject,".utf8), "item_id contains a NUL byte"),
        BadLine(
            bytes: Array("s,a".utf8) + [0xC3, 0x28] + Array(",1,adjust,reject,".utf8),
            "item_id is not valid UTF-8; a file in Windows-1252 needs --encoding windows-1252"),
    ]

    @Test("a bad line is reported and the good lines are enqueued", arguments: badLines) func aBadLineIsReported(
        _ bad: BadLine
    ) async throws {
        try await withDatabase { database in
            let header = "store_id,item_id,quantity,action,on_insufficient,run_at\n"
            let good = "s,good,1,adjust,reject,\n"
            let bytes = Array((header + good).utf8) + bad.bytes + Array(("\n" + good).utf8)
            let done = try Self.importJobs(database, bytes: bytes)
            #expect(done.rejects == ["3: \(bad.reason)"])
            #expect(done.progress.enqueued == 2)
            #expect(done.rejected == String(decoding: bad.bytes, as: UTF8.self) + "\n", "unchanged")
            #expect(try database.value("SELECT count(*) FROM stockq.jobs") == "2")
            // With --strict the same file is rejected as a whole.
            let problem = try #require(throws: ValidationError.self) {
                try Self.importJobs(database, bytes: bytes) { $0.isStrict = true }
            }
            #expect(problem.description == "line 3: \(bad.reason); nothing was enqueued")
            #expect(try database.value("SELECT count(*) FROM stockq.jobs") == "2")
        }
    }

    @Test("the table accepts what the import accepts") func theTableAcceptsWhatTheImportAccepts() async throws {
        try await withDatabase { database in
            let long = String(repeating: "é", count: 100)
            let done = try Self.importJobs(
                database,
                "store_id,item_id,quantity\n\(long),\\N,9007199254740991\ns,\\.,-9007199254740991\ns,+,+5\ns,a,0\n")
            #expect(done.rejects == [])
            #expect(try database.rows("SELECT item_id, quantity FROM stockq.jobs ORDER BY job_id").count == 4)
            #expect(try database.value("SELECT count(*) FROM stockq.jobs WHERE item_id IN (E'\\\\N', E'\\\\.')") == "2")
        }
    }

    @Test("a group with a bad line is rejected as a whole") func groupWithABadLine() async throws {
        try await withDatabase { database in
            let done = try Self.importJobs(
                database, "store_id,item_id,quantity,group_id\ns,a,1,g1\ns,a,x,g1\ns,b,1,g1\ns,c,1,g2\ns,d,1,\n")
            #expect(
                done.rejects == [
                    "2: another line of its group is bad", "3: quantity must be a whole number, not 'x'",
                    "4: another line of its group is bad",
                ])
            #expect(try database.rows("SELECT item_id FROM stockq.jobs ORDER BY job_id") == ["c", "d"])
        }
    }

    @Test("a group with more lines than the limit is rejected by line, and its neighbors are not")
    func groupTooLarge() async throws {
        try await withDatabase { database in
            let large = String(repeating: "s,a,1,g2\n", count: 5)
            let done = try Self.importJobs(
                database, "store_id,item_id,quantity,group_id\ns,a,1,g1\ns,a,1,g1\ns,a,1,g1\n\(large)s,a,1,g3\n"
            ) { $0.groupLinesMax = 3 }
            let reason = "the group 'g2' has more than 3 lines; split it, or leave out the group"
            #expect(done.rejects == (5...9).map { "\($0): \(reason)" })
            #expect(done.rejected == large)
            #expect((done.progress.enqueued, done.progress.rejected) == (4, 5))
            #expect(try database.rows("SELECT DISTINCT group_id FROM stockq.jobs ORDER BY 1") == ["g1", "g3"])
        }
    }

    @Test("a strict import ends at the line that is too many for its group") func strictGroupTooLarge() async throws {
        try await withDatabase { database in
            let text = "store_id,item_id,quantity,group_id\ns,a,1,g\ns,a,1,g\ns,a,1,g\n"
            let failure = #expect(throws: ValidationError.self) {
                _ = try Self.importJobs(database, text) {
                    $0.groupLinesMax = 2
                    $0.isStrict = true
                }
            }
            #expect(failure?.line == 4)
            let queued = try database.queuedJobs()
            #expect(queued == 0)
        }
    }

    /// An unreadable line may belong to the group before it or to the group after it.
    @Test("an unreadable line rejects the groups beside it") func unreadableLineBesideGroups() async throws {
        try await withDatabase { database in
            let done = try Self.importJobs(
                database, "store_id,item_id,quantity,group_id\ns,a,1,g0\ns,a,1,g1\nbroken\ns,b,1,g2\ns,c,1,g3\n")
            #expect(done.rejects.map { $0.prefix(2) } == ["3:", "4:", "5:"])
            #expect(try database.rows("SELECT group_id FROM stockq.jobs ORDER BY job_id") == ["g0", "g3"])
        }
    }

    /// Half a group must not be enqueued; of an input that can be read only once, only its second part can be rejected.
    @Test("a group whose rows are not adjacent is rejected", arguments: [false, true]) func splitGroup(isPipe: Bool)
        async throws
    {
        try await withDatabase { database in
            let text = "store_id,item_id,quantity,group_id\ns,a,1,g\ns,b,1,h\ns,x,bad,g\nt,c,1,g\n"
            var rejects: [String] = []
            let pipe = Pipe()
            func load(_ descriptor: Int32) throws {
                var importer = try JobImport(
                    connection: database.connect(), schema: .standard, source: ByteSource(descriptor: descriptor),
                    options: JobImport.Options(),
                    onReject: { error, _ in rejects.append("\(error.line ?? 0): \(error.message)") })
                _ = try importer.run()
            }
            if isPipe {
                try pipe.fileHandleForWriting.write(contentsOf: Data(text.utf8))
                try pipe.fileHandleForWriting.close()
                try load(pipe.fileHandleForReading.fileDescriptor)
            } else {
                try withFile(Array(text.utf8), load)
            }
            #expect(rejects.map { String($0.prefix(2)) } == (isPipe ? ["4:"] : ["2:", "4:"]))
            if !isPipe {
                #expect(
                    rejects[0]
                        == "2: rows of this group also appear elsewhere in the file; a group's rows must be adjacent")
            }
            #expect(
                try database.rows("SELECT store_id, group_id FROM stockq.jobs ORDER BY 1, 2") == (isPipe ? ["s,g"] : [])
                    + ["s,h", "t,g"])
        }
    }

    @Test("a stopped import keeps its committed transactions and rolls back the open one") func stoppedImport()
        async throws
    {
        try await withDatabase { database in
            let pipe = Pipe()
            let stop = StopSignal()
            var options = JobImport.Options()
            options.rowsPerCommit = 2
            var last = ImportProgress()
            try pipe.fileHandleForWriting.write(
                contentsOf: Data("store_id,item_id,quantity\n\(String(repeating: "s,a,1\n", count: 3))".utf8))
            // The pipe stays open: the import waits for more input, and is stopped there.
            var importer = try JobImport(
                connection: database.connect(), schema: .standard,
                source: ByteSource(
                    descriptor: pipe.fileHandleForReading.fileDescriptor, interruptDescriptor: stop.abortDescriptor),
                options: options,
                onProgress: { progress in
                    last = progress
                    if progress.enqueued == 2 { stop.abort() }
                }, onReject: { _, _ in })
            #expect(throws: InputInterrupted()) { try importer.run() }
            #expect(last.committedThroughLine == 3)
            #expect(try database.value("SELECT count(*) FROM stockq.jobs") == "2")
        }
    }

    @Test("a group is never split between transactions") func aGroupIsNeverSplitBetweenTransactions() async throws {
        try await withDatabase { database in
            let lines = (0..<30).map { "s,a,1,g\($0 / 7)" }.joined(separator: "\n")
            let done = try Self.importJobs(database, "store_id,item_id,quantity,group_id\n\(lines)\n") {
                $0.rowsPerCommit = 3
            }
            #expect(done.progress.enqueued == 30)
            #expect(
                try database.value(
                    "SELECT count(*), max(times) FROM (SELECT group_id, count(DISTINCT enqueued_at) AS times FROM stockq.jobs GROUP BY 1) g"
                ) == "5,1")
        }
    }

    @Test("NDJSON is read line by line") func ndjsonIsReadLineByLine() async throws {
        try await withDatabase { database in
            let done = try Self.importJobs(
                database,
                """
                {"store_id": "s", "item_id": 4711, "quantity": -2, "notify": false}
                {"store_id": "s", "item_id": "a\\u0062", "quantity": 5.0, "reason": null}
                {"store_id": "s", "item_id": "a", "quantity": 5.5}
                {"store_id": "s", "item_id": "a", "quantity": [1]}
                {"store_id": "s", "item_id": "a", "qty": 1}
                {"store_id": "s", "item_id": "a"}
                {"store_id": "s", "item_id": "a", "quantity": 1, "quantity": -5}
                {"store_id": "s", "item_id": "a", "quantity": 4503599627370497.5}
                not json
                [1]
                """
            ) { $0.format = .ndjson }
            #expect(
                done.rejects == [
                    "3: quantity must be a whole number, not '5.5'", "4: quantity must not be an object or an array",
                    "5: unknown key 'qty'; known are \(JobField.list)", "6: quantity is empty",
                    "7: quantity is given twice in an object at byte 50",
                    "8: quantity must be a whole number, not '4503599627370497.5'",
                    "9: not JSON: unexpected 'o' at byte 2",
                    "10: not a JSON object",
                ])
            #expect(
                try database.rows("SELECT item_id, quantity, notify FROM stockq.jobs ORDER BY job_id") == [
                    "4711,-2,f", "ab,5,t",
                ])
            #expect(done.progress.endedInMidLine)
        }
    }

    /// A number in JSON may have any number of digits.
    @Test("numbers in NDJSON keep their digits") func numbersInNDJSONKeepTheirDigits() async throws {
        try await withDatabase { database in
            let done = try Self.importJobs(
                database,
                """
                {"store_id": "s", "item_id": 12345678901234567890, "quantity": 1.5e1}
                {"store_id": 4711.0, "item_id": 1.10, "quantity": 9007199254740991}

                """
            ) { $0.format = .ndjson }
            #expect(done.rejects == [])
            #expect(
                try database.rows("SELECT store_id, item_id, quantity FROM stockq.jobs ORDER BY job_id") == [
                    "s,12345678901234567890,15", "4711,1.10,9007199254740991",
                ])
        }
    }

    @Test(
        "a byte order mark is ignored",
        arguments: ["\u{FEFF}store_id,item_id,quantity\n", "\u{FEFF}\"store_id\",\"item_id\",\"quantity\"\n"])
    func byteOrderMark(header: String) async throws {
        try await withDatabase { database in
            let done = try Self.importJobs(database, header + "s,a,1\n")
            #expect(done.progress.enqueued == 1)
        }
    }

    @Test(
        "an unusable file is rejected as a whole",
        arguments: [
            ("", "the file is empty; a CSV begins with a header that names its columns"),
            (
                "store_id,item_id\ns,a\n",
                "the header lacks the column quantity; name its column with --map COLUMN=quantity, or give one value for all lines with --set quantity=VALUE"
            ),
            (
                "store_id,item_id,quantity,shade\n",
                "the header names an unknown column 'shade'; known are \(JobField.list); name its field with --map 'shade=FIELD', or leave it out with --ignore-unknown"
            ),
            ("store_id,item_id,quantity,item_id\n", "the header names item_id twice"),
            (
                "store_id,store_id,shade\n",
                """
                the header names an unknown column 'shade'; known are \(JobField.list); name its field with --map 'shade=FIELD', or leave it out with --ignore-unknown
                the header names store_id twice
                the header lacks the columns item_id, quantity; name each one's column with --map COLUMN=FIELD, or give one value for all lines with --set FIELD=VALUE
                """
            ),
        ]) func unusableFile(text: String, reason: String) async throws
    {
        try await withDatabase { database in
            let problem = try #require(throws: ValidationError.self) { try Self.importJobs(database, text) }
            #expect(problem.description == reason)
        }
    }

    @Test("the reference and the reason of an import are those of the lines without one", arguments: [false, true])
    func referenceOfAll(isNDJSON: Bool) async throws {
        try await withDatabase { database in
            let text =
                isNDJSON
                ? #"{"store_id":"s","item_id":"a","quantity":1,"reference":"r 1"}"# + "\n"
                    + #"{"store_id":"s","item_id":"b","quantity":1}"# + "\n"
                : "store_id,item_id,quantity,reference\ns,a,1,r 1\ns,b,1,\n"
            let done = try Self.importJobs(database, text) {
                $0.format = isNDJSON ? .ndjson : .csv
                $0.reference = "delivery 7"
                $0.reason = "received"
            }
            #expect(done.progress.enqueued == 2)
            #expect(
                try database.rows("SELECT item_id, reference, reason FROM stockq.jobs ORDER BY job_id")
                    == ["a,r 1,received", "b,delivery 7,received"])
        }
    }

    @Test("an import resumes after a line") func resumesAfterALine() async throws {
        try await withDatabase { database in
            let text = "store_id,item_id,quantity\ns,a,1\ns,b,1\ns,c,1\n"
            let done = try Self.importJobs(database, text) { $0.afterLine = 3 }
            #expect(done.progress.enqueued == 1)
            #expect(try database.rows("SELECT item_id FROM stockq.jobs") == ["c"])
        }
    }

    /// However large the pieces are in which it is read: it must not depend on where they end.
    @Test("a complete line that is too long is rejected") func lineTooLong() async throws {
        try await withDatabase { database in
            let long = "s," + String(repeating: "x", count: 1_048_575)
            var rejects: [String] = []
            try withFile(Array("store_id,item_id,quantity\n\(long)\ns,good,1\n".utf8)) { descriptor in
                var importer = try JobImport(
                    connection: database.connect(), schema: .standard, source: ByteSource(descriptor: descriptor),
                    options: JobImport.Options(),
                    onReject: { error, _ in rejects.append("\(error.line ?? 0): \(error.message)") })
                let progress = try importer.run()
                #expect(progress.enqueued == 1)
            }
            #expect(rejects == ["2: a record of more than 1048576 bytes; is a closing quote missing?"])
        }
    }

    @Test("a line that never ends is rejected") func endlessLine() async throws {
        try await withDatabase { database in
            let endless = "s,\"" + String(repeating: "x", count: 2_000_000)
            let done = try Self.importJobs(database, "store_id,item_id,quantity\n\(endless)\ns,good,1\n")
            #expect(done.rejects.count == 1)
            #expect(done.rejects.first?.hasPrefix("2: a record of more than 1048576 bytes") == true)
            #expect(try database.rows("SELECT item_id FROM stockq.jobs") == ["good"])
        }
    }
}
