import StockFormats
import StockModel
import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// What a plain INSERT may not bring in: fractions, and ids that look like other ids.
@Suite("Rules of jobs and items") struct InputRuleTests {
    // MARK: whole quantities

    private static let jobs = "INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('s', 'a', %)"
    private static let items = "INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'x', %)"
    static let columns = [
        jobs,
        "INSERT INTO stockq.jobs (store_id, item_id, quantity, expected_available) VALUES ('s', 'a', 1, %)",
        items,
        "INSERT INTO stockq.items (store_id, item_id, on_hand, allocated) VALUES ('s', 'x', 9, %)",
        "INSERT INTO stockq.items (store_id, item_id, low_stock_threshold) VALUES ('s', 'x', %)",
        "UPDATE stockq.items SET low_stock_threshold = %", "UPDATE stockq.items SET on_hand = %",
        "SELECT stockq.enqueue_lines('s', '[{\"item_id\": \"a\", \"quantity\": %}]')",
    ]
    static let fractions = ["1.5", "1.5::float8", "0.5::real", "2.0000000000000001", "0.1"]

    @Test("a fraction is refused, and never rounded", arguments: columns) func fractions(column: String) async throws {
        try await withDatabase { database in
            try database.addItem("a", 10)
            for fraction in Self.fractions {
                let sql = column.split(separator: "%", omittingEmptySubsequences: false).joined(separator: fraction)
                // JSON has no types of numbers.
                if column.contains("[{") && fraction.contains("::") { continue }
                #expect(throws: PostgresError.self, "\(sql)") { try database.run(sql) }
            }
            #expect(try database.value("SELECT count(*) FROM stockq.jobs") == "0")
            #expect(try database.rows("SELECT item_id, on_hand, low_stock_threshold FROM stockq.items") == ["a,10,"])
        }
    }

    @Test("a number beyond 64 bits, NaN and infinity are refused", arguments: [jobs, items])
    func beyond64Bits(column: String) async throws {
        try await withDatabase { database in
            for number in ["9223372036854775808", "1e30", "'NaN'::float8", "'NaN'", "'Infinity'"] {
                let sql = column.split(separator: "%", omittingEmptySubsequences: false).joined(separator: number)
                #expect(throws: PostgresError.self, "\(sql)") { try database.run(sql) }
            }
        }
    }

    @Test("a whole number is taken in every form") func wholeNumbers() async throws {
        try await withDatabase { database in
            try database.run("INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 10.0)")
            for number in ["-1", "-1.0", "-1::float8", "-1::smallint", "'-1'"] {
                try database.run(
                    "INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('s', 'a', \(number))")
            }
            try database.drain()
            #expect(try database.value("SELECT on_hand, available FROM stockq.items") == "5,5")
            #expect(try database.value("SELECT sum(quantity) FROM stockq.results") == "-5")
        }
    }

    // MARK: ids

    @Test("Swift and SQL hide the same characters") func sameCharacters() async throws {
        try await withDatabase { database in
            // The blocks that have hidden characters with their neighbors, and some of all others.
            let tried = (1...0x10FFFF).filter { (code: UInt32) in
                (code < 0x3200 || (0xFD00...0x10100).contains(code) || (0x1BC00...0x1D200).contains(code)
                    || code & 0xFF000 == 0xE0000 || code % 97 == 0) && Unicode.Scalar(code) != nil
            }
            let codes = "SELECT unnest('{\(tried.map { String($0) }.joined(separator: ","))}'::integer[])"
            let hidden = try database.rows(
                """
                SELECT to_hex(code) FROM (\(codes)) AS tried (code)
                WHERE stockq.hidden_character('a' || chr(code) || 'a') IS NOT NULL
                ORDER BY code
                """)
            let expected = tried.compactMap { (code: UInt32) -> String? in
                guard let scalar = Unicode.Scalar(code) else { return nil }
                return HiddenCharacters.first(in: "a\(scalar)a") == nil ? nil : String(code, radix: 16)
            }
            #expect(hidden == expected)
            // The constraint has the characters in a form of its own.
            let refused = try database.rows(
                """
                SELECT to_hex(code)
                FROM (\(codes)) AS tried (code)
                CROSS JOIN (
                    SELECT substring(pg_get_constraintdef(oid) FROM $re$'(\\^.*\\$)'::text$re$) AS pattern
                    FROM pg_constraint WHERE conname = 'jobs_ids_visible'
                ) AS rule
                WHERE E's\\na' || chr(code) || E'a\\nmain' !~ pattern
                ORDER BY code
                """)
            #expect(refused == expected)
        }
    }

    static let badIDs: [(sql: String, character: String)] = [
        ("'a '", "U+0020"), ("' a'", "U+0020"), ("E'a\\t'", "U+0009"), ("E'\\na'", "U+000A"), ("E'a\\rb'", "U+000D"),
        ("E'a\\u00a0'", "U+00A0"), ("E'a\\u200bb'", "U+200B"), ("E'\\ufeffa'", "U+FEFF"), ("E'a\\u202eb'", "U+202E"),
        ("E'a\\u3000b'", "U+3000"), ("' '", "U+0020"),
    ]

    @Test("an id that looks like another one is refused in jobs and items", arguments: badIDs)
    func badID(sql: String, character: String) async throws {
        try await withDatabase { database in
            for values in ["\(sql), 'a', 'main'", "'s', \(sql), 'main'", "'s', 'a', \(sql)"] {
                let job = #expect(throws: PostgresError.self) {
                    try database.run(
                        "INSERT INTO stockq.jobs (store_id, item_id, location_id, quantity) VALUES (\(values), 1)")
                }
                #expect(job?.constraint == "jobs_ids_visible")
                let item = #expect(throws: PostgresError.self) {
                    try database.run("INSERT INTO stockq.items (store_id, item_id, location_id) VALUES (\(values))")
                }
                #expect(item?.message.contains("has the character \(character)") == true)
            }
        }
    }

    @Test("ids in any script are accepted, with spaces inside") func goodIDs() async throws {
        try await withDatabase { database in
            for id in ["Größe 40", "東京本店", "a  b", "тест", "café", "x/y#1", "\u{1F455}"] {
                try database.addItem(id, 1)
                try database.enqueue(.adjust(id, -1))
            }
            try database.drain()
            #expect(try database.value("SELECT sum(on_hand) FROM stockq.items") == "0")
        }
    }

    @Test("an import rejects such ids by line, and --trim removes white space at the ends") func imports() async throws
    {
        try await withDatabase { database in
            let text = "store_id,item_id,on_hand,parent_id\ns,a ,5,\n\ts,b, 6 ,\ns,c\u{200B},1,\ns,\"d\u{A0}\",1,p \n"
            let hint = "which does not show; remove it"
            let all = try importItems(database, text).rejects
            #expect(all.contains { $0.hasPrefix("3: store_id begins with U+0009") }, "\(all)")
            #expect(
                all.filter { !$0.hasPrefix("3: ") } == [
                    "2: item_id ends with U+0020 (SPACE), \(hint) (an import does, with --trim)",
                    "4: item_id ends with U+200B (ZERO WIDTH SPACE), \(hint)",
                    "5: item_id ends with U+00A0 (NO-BREAK SPACE), \(hint) (an import does, with --trim)",
                ])
            let (report, rejects) = try importItems(database, text, trims: true)
            #expect(report.created == 3 && rejects.count == 1)
            #expect(
                try database.rows("SELECT store_id, item_id, on_hand, parent_id FROM stockq.items ORDER BY 2")
                    == ["s,a,5,", "s,b,6,", "s,d,1,p"])
        }
    }

    @Test(
        "texts without meaning for the queue may have any character but NUL", arguments: [JobField.reason, .reference])
    func freeText(field: JobField) throws {
        var job = JobRequest(store: "s", item: "a", quantity: 1)
        job.set(field, .text(" two\nlines\t"))
        try job.validate()
        job.set(field, .text("a\u{0}b"))
        #expect(throws: ValidationError.self) { try job.validate() }
    }

    @Test(
        "every id of a request is checked",
        arguments: [JobField.storeID, .itemID, .locationID, .groupID, .orderingKey, .idempotencyKey])
    func everyID(field: JobField) {
        for id in ["a ", "\ta", "a\u{200B}b", "a\u{0}b", " "] {
            var job = JobRequest(store: "s", item: "a", quantity: 1)
            job.set(field, .text(id))
            let error = #expect(throws: ValidationError.self) { try job.validate() }
            #expect(error?.field == field.rawValue && error?.code == .malformed)
        }
    }
}
