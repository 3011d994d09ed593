import Foundation
import TestSupport
import Testing

/// Files as spreadsheets and shop systems write them.
@Suite struct SpreadsheetImportTests {
    private static let jobs = "SELECT store_id, item_id, quantity FROM stockq.jobs ORDER BY job_id"

    private static func utf16(_ text: String, isBigEndian: Bool) -> [UInt8] {
        text.utf16.flatMap { isBigEndian ? [UInt8($0 >> 8), UInt8($0 & 255)] : [UInt8($0 & 255), UInt8($0 >> 8)] }
    }

    @Test(
        "the separator of a file is that of its header",
        arguments: [(",", "comma"), (";", ";"), ("\t", "tab"), ("|", "bar")]
    ) func separators(separator: String, name: String) async throws {
        try await withDatabase { database in
            let text = "Store ID,ITEM-ID,Quantity,reason\ns,a,1,\"x,;|\t\"\ns,b,2,\n"
            let quoted = text.replacingOccurrences(of: "\"x,;|\t\"", with: "@")
                .replacingOccurrences(of: ",", with: separator).replacingOccurrences(of: "@", with: "\"x,;|\t\"")
            let recognized = try Program(database).run(["import", "-"], input: quoted)
            #expect(recognized.code == 0, "\(recognized.err)")
            let named = try Program(database).run(["import", "-", "--delimiter", name], input: quoted)
            #expect(named.code == 0, "\(named.err)")
            #expect(try database.rows(Self.jobs) == ["s,a,1", "s,b,2", "s,a,1", "s,b,2"])
            #expect(try database.value("SELECT count(*) FROM stockq.jobs WHERE reason = E'x,;|\\t'") == "2")
        }
    }

    @Test("a column of what was sold is taken away by a mapping with a minus") func turnedSign() async throws {
        try await withDatabase { database in
            let text = "Article;Sold\na;4\nb;-2\nc; +1 \nd;0\ne;12 pieces\nf;\ng;--4\n"
            let words = ["import", "-", "--map", "Article=item_id", "--set", "store_id=s"]
            let done = try Program(database).run(words + ["--map", "Sold=-quantity"], input: text)
            #expect(done.code == 1)
            #expect(try database.rows(Self.jobs) == ["s,a,-4", "s,b,2", "s,c,-1", "s,d,0"])
            #expect(done.err.contains("line 6: quantity must be a whole number, not '12 pieces'"), "\(done.err)")
            #expect(done.err.contains("line 7: quantity"), "\(done.err)")
            #expect(done.err.contains("line 8: quantity must be a whole number, not '--4'"), "\(done.err)")
            let twice = try Program(database).run(
                words + ["--map", "Sold=-quantity"], input: "Article;Sold;quantity\na;4;4\n")
            #expect(twice.err.contains("the header has a column quantity beside that of --map"), "\(twice.err)")
            let doubled = try Program(database).run(
                ["import", "-", "--from", "shopify-orders", "--map", "Sold=-quantity", "--set", "store_id=s"],
                input: "Name,Lineitem sku,Sold\n1,a,3\n")
            #expect(doubled.err.contains("--from takes the quantity away already"), "\(doubled.err)")
            for field in ["-item_id", "-priority", "-nothing"] {
                let refused = try Program(database).run(words + ["--map", "Sold=\(field)"], input: text)
                #expect(refused.code != 0)
                #expect(refused.err.contains("--map Sold=\(field): "), "\(refused.err)")
            }
        }
    }

    private static let letters = "store_id;item_id;quantity\r\nZürich;Käse – 5€;1\r\n"

    @Test("UTF-16 and a marked UTF-8 are read as such, Windows-1252 on request") func encodings() async throws {
        try await withDatabase { database in
            let marked = "\u{FEFF}" + Self.letters
            let windows = Self.letters.unicodeScalars.map { scalar -> UInt8 in
                switch scalar {
                case "€": 0x80
                case "–": 0x96
                default: UInt8(scalar.value)
                }
            }
            let inputs: [(bytes: [UInt8], options: [String])] = [
                (Array(marked.utf8), []), (Array(marked.utf8), ["--encoding", "windows-1252"]),
                (Self.utf16(marked, isBigEndian: false), []), (Self.utf16(marked, isBigEndian: true), []),
                (Self.utf16(Self.letters, isBigEndian: false), ["--encoding", "utf-16"]),
                (Self.utf16(Self.letters, isBigEndian: true), []), (windows, ["--encoding", "windows-1252"]),
            ]
            for (bytes, options) in inputs {
                let done = try Program(database).run(["import", "-"] + options, input: bytes)
                #expect(done.code == 0, "\(done.err)")
            }
            #expect(
                try database.rows("SELECT DISTINCT store_id, item_id, count(*) FROM stockq.jobs GROUP BY 1, 2")
                    == ["Zürich,Käse – 5€,\(inputs.count)"])
            let broken = try Program(database).run(["import", "-"], input: windows)
            #expect(broken.err.contains("line 2: store_id is not valid UTF-8; a file in Windows-1252 needs --encoding"))
            let header = try Program(database).run(["import", "-"], input: [0x47, 0x72, 0xF6, 0xDF, 0x65, 0x0A])
            #expect(header.err.contains("the header is not valid UTF-8; a file in Windows-1252 needs --encoding"))
        }
    }

    @Test("columns of other names, fixed values and columns to leave out") func columns() async throws {
        try await withDatabase { database in
            let text = "SKU,Sold,Title\na,-1,Mug\nb,-2,Cap\n"
            let program = Program(database)
            let unknown = try program.run(["import", "-"], input: text)
            #expect(unknown.code == 1 && unknown.err.contains("unknown columns 'SKU', 'Sold', 'Title'"))
            #expect(unknown.err.contains("--map 'SKU=FIELD'") && unknown.err.contains("--ignore-unknown"))
            let options = ["--map", "sku=item_id", "--map", "Sold=quantity", "--ignore-unknown"]
            let missing = try program.run(["import", "-"] + options, input: text)
            #expect(missing.err.contains("the header lacks the column store_id"), "\(missing.err)")
            let done = try program.run(["import", "-", "--set", "store_id=berlin"] + options, input: text)
            #expect(done.code == 0, "\(done.err)")
            #expect(try database.rows(Self.jobs) == ["berlin,a,-1", "berlin,b,-2"])
            for (options, message) in [
                (["--map", "Price=quantity"], "the header has no column Price"),
                (["--map", "SKU=sku"], "there is no field sku"), (["--set", "shop=x"], "there is no field shop"),
                (
                    ["--map", "SKU=item_id", "--map", "Sold=item_id"],
                    "--map gives item_id two columns, 'SKU' and 'Sold'; leave out one"
                ),
                (["--set", "reason=a", "--set", "reason=b"], "--set names reason twice"),
                (["--map", "SKU"], "COLUMN=FIELD"),
            ] {
                let ended = try program.run(["import", "-", "--ignore-unknown"] + options, input: text)
                #expect(ended.code != 0 && ended.err.contains(message), "\(ended.err)")
            }
        }
    }

    @Test("a column without a name is named by its number") func unnamedColumns() async throws {
        try await withDatabase { database in
            let program = Program(database)
            let one = try program.run(["import", "-"], input: "store_id,item_id,,quantity\ns,a,x,1\n")
            let advice = "write its field into the header, or leave it out with --ignore-unknown"
            #expect(one.code == 1 && one.err.contains("the header has no name for column 3; \(advice)"), "\(one.err)")
            let two = try program.run(["import", "-"], input: "store_id,item_id, ,quantity,\"\"\ns,a,x,1,\n")
            #expect(two.err.contains("no name for the columns 3, 5; write their fields"), "\(two.err)")
            let named = try program.run(["import", "-"], input: "store_id,item_id,quantity,Title,\ns,a,1,x,\n")
            #expect(named.err.contains("an unknown column 'Title'; known"), "\(named.err)")
            let left = try program.run(
                ["import", "-", "--ignore-unknown"], input: "store_id,item_id,quantity,\ns,a,1,\n")
            #expect(left.code == 0, "\(left.err)")
        }
    }

    @Test("a field comes from the input or from --set, in NDJSON as in CSV") func fixedFields() async throws {
        try await withDatabase { database in
            let program = Program(database)
            let csv = try program.run(
                ["import", "-", "--set", "store_id=s"], input: "store_id,item_id,quantity\ns,a,1\n")
            let message = "--set store_id=s: the header has a column store_id"
            #expect(csv.code == 1 && csv.err.contains(message), "\(csv.err)")
            let objects = try program.run(
                ["import", "-", "--format", "ndjson", "--set", "store_id=s"],
                input: """
                    {"item_id":"a","quantity":1}
                    {"store_id":"t","item_id":"b","quantity":2}
                    {"store_id":null,"item_id":"c","quantity":3}

                    """)
            #expect(objects.code == 1)
            #expect(objects.err.contains("line 2: --set store_id=s: the line has a store_id"), "\(objects.err)")
            #expect(try database.rows(Self.jobs) == ["s,a,1", "s,c,3"])
            for format in ["csv", "ndjson"] {
                let unknown = try program.run(
                    ["items", "import", "-", "--format", format, "--set", "shop=x"],
                    input: format == "csv" ? "store_id,item_id,on_hand\n" : "{}\n")
                #expect(
                    unknown.err.contains("--set shop=x: there is no field shop; known are store_id,"), "\(unknown.err)")
            }
        }
    }

    @Test("an id that an NDJSON has as a number with an exponent is refused by name") func roundedNumbers() async throws
    {
        try await withDatabase { database in
            let done = try Program(database).run(
                ["import", "-", "--format", "ndjson"],
                input: """
                    {"store_id":"s","item_id":4.00638E+12,"quantity":1}
                    {"store_id":"s","item_id":4e2,"quantity":1}
                    {"store_id":"s","item_id":400,"quantity":1e1}
                    {"store_id":"s","item_id":"4.00638E+12","quantity":1}

                    """)
            #expect(done.code == 1)
            for (line, id) in [(1, "4.00638E+12"), (2, "4e2"), (4, "4.00638E+12")] {
                let message = "line \(line): item_id is '\(id)': a spreadsheet has rounded the number"
                #expect(done.err.contains(message), "\(done.err)")
            }
            #expect(try database.rows(Self.jobs) == ["s,400,10"])
        }
    }

    @Test("a column that --map names goes before one that has the field's name") func mappedBeforeNamed() async throws {
        try await withDatabase { database in
            let text = "Store_ID,Item ID,SKU,quantity\ns,17,mug,1\n"
            let options = ["import", "-", "--map", "SKU=item_id"]
            let both = try Program(database).run(options, input: text)
            #expect(both.code == 1 && both.err.contains("has a column item_id beside that of --map"), "\(both.err)")
            let mapped = try Program(database).run(options + ["--ignore-unknown"], input: text)
            #expect(mapped.code == 0, "\(mapped.err)")
            #expect(try database.rows(Self.jobs) == ["s,mug,1"])
        }
    }

    @Test("the header of the other command's file is named") func otherCommand() async throws {
        try await withDatabase { database in
            let items = try Program(database).run(["import", "-"], input: "store_id,item_id,on_hand\n")
            #expect(items.err.contains("this looks like items: use stockq items import"), "\(items.err)")
            let jobs = try Program(database).run(["items", "import", "-"], input: "store_id,item_id,Quantity\n")
            #expect(jobs.err.contains("this looks like jobs: use stockq import"), "\(jobs.err)")
            try database.run("INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 3)")
            let exported = try Program(database).run(["export", "items"]).out
            let again = try Program(database).run(["items", "import", "-"], input: exported)
            #expect(again.err.contains("this looks like stockq export items: add --ignore-unknown"), "\(again.err)")
            let kept = try Program(database).run(["items", "import", "-", "--ignore-unknown"], input: exported)
            #expect(kept.code == 0 && kept.out.contains("1 unchanged"), "\(kept)")
        }
    }

    @Test("times without a zone are those of --time-zone, also where the clock changes") func localTimes() async throws
    {
        try await withDatabase { database in
            let text = """
                store_id,item_id,quantity,occurred_at
                s,a,1,2025-03-30 01:30
                s,b,1,30.03.2025 03:00
                s,c,1,2025-10-26
                s,d,1,26.10.2025 02:30:15
                s,e,1,2025-10-26T02:30:00Z
                s,f,1,2025-03-30 02:30
                s,g,1,03/30/2025

                """
            let berlin = try Program(database).run(["import", "-", "--time-zone", "Europe/Berlin"], input: text)
            #expect(berlin.code == 1)
            #expect(berlin.err.contains("must be a time of Europe/Berlin like 2026-03-01 12:00"), "\(berlin.err)")
            #expect(berlin.err.contains("'2025-03-30 02:30'") && berlin.err.contains("'03/30/2025'"), "\(berlin.err)")
            #expect(
                try database.rows("SELECT item_id, occurred_at AT TIME ZONE 'UTC' FROM stockq.jobs ORDER BY job_id")
                    == [
                        "a,2025-03-30 00:30:00", "b,2025-03-30 01:00:00", "c,2025-10-25 22:00:00",
                        "d,2025-10-26 00:30:15",
                        "e,2025-10-26 02:30:00",
                    ])
            let none = try Program(database).run(["import", "-"], input: text)
            #expect(
                none.err.contains("'2025-03-30 01:30', a time without its zone; --time-zone names it"), "\(none.err)")
            let unknown = try Program(database).run(["import", "-", "--time-zone", "Mars/Olympus"], input: text)
            #expect(unknown.code == 2 && unknown.err.contains("IANA database"), "\(unknown.err)")
        }
    }

    @Test("numbers, times and empty rows are read as spreadsheets write them, rounded ids are refused") func values()
        async throws
    {
        try await withDatabase { database in
            let time = try database.value(
                "SELECT to_char(now() AT TIME ZONE 'UTC' + interval '9 days', 'YYYY-MM-DD HH24:MI:SS') || ' +0100'")
            let text = """
                store_id,item_id,quantity,run_at
                s,a, 12.0 ,
                s,b,12.5,
                ,,,
                ,,,,,
                s,4.00638E+12,1,
                s,"4,00638e+12",1,
                s,c,1.000,
                s,d,1000.000,
                s,E+12,3,\(time)

                """
            let done = try Program(database).run(["import", "-", "--set", "reason=sheet"], input: text)
            #expect(done.code == 1)
            #expect(done.out.hasPrefix("jobs: 7 read, 3 enqueued, 4 bad lines"), "\(done.out)")
            #expect(done.err.contains("line 3: quantity must be a whole number, not '12.5'"), "\(done.err)")
            for id in ["4.00638E+12", "4,00638e+12"] {
                #expect(done.err.contains("item_id is '\(id)': a spreadsheet has rounded the number"), "\(done.err)")
            }
            #expect(
                done.err.contains("line 8: quantity is '1.000', which may be 1 or 1000; write digits only"))
            #expect(try database.rows(Self.jobs) == ["s,a,12", "s,d,1000", "s,E+12,3"])
            #expect(try database.value("SELECT count(*) FROM stockq.jobs WHERE run_at = '\(time)'") == "1")
        }
    }

    @Test("numbers with a decimal comma, groups of digits and dashes are read or named") func commas() async throws {
        try await withDatabase { database in
            let text = "store_id;item_id;quantity\ns;a;6,0\ns;b;1.250\ns;c;12 345\ns;d;\u{2013}1\ns;e;-1.250,5\n"
            let done = try Program(database).run(["import", "-"], input: text)
            #expect(done.out.hasPrefix("jobs: 5 read, 1 enqueued, 4 bad lines"), "\(done.out)")
            for number in ["1.250", "12 345"] {
                #expect(
                    done.err.contains("quantity is '\(number)'; write it without separators between the digits"),
                    "\(done.err)")
            }
            #expect(done.err.contains("which begins with a dash; write a minus sign (-)"), "\(done.err)")
            #expect(done.err.contains("line 6: quantity must be a whole number"), "\(done.err)")
            #expect(try database.rows(Self.jobs) == ["s,a,6"])
        }
    }

    @Test("a separator line of Excel, blank lines with blanks, and truth in other languages") func excel() async throws
    {
        try await withDatabase { database in
            let text =
                "sep=;\r\nstore_id;item_id;on_hand;tracked\r\n   \r\ns;a;1;WAHR\r\n ; ;;\r\ns;b;2;Faux\r\ns;c;x;1\r\n"
            let done = try Program(database).run(["items", "import", "-"], input: text)
            #expect(done.out.hasPrefix("items: 2 created, 0 changed, 0 unchanged, 1 bad line"), "\(done.out)")
            #expect(done.err.contains("line 7: on_hand must be a whole number, not 'x'"), "\(done.err)")
            let items = "SELECT item_id, on_hand, tracked FROM stockq.items ORDER BY 1"
            #expect(try database.rows(items) == ["a,1,t", "b,2,f"])
        }
    }

    @Test("a file in UTF-8 is not read as Windows-1252") func wrongEncoding() async throws {
        try await withDatabase { database in
            let options = ["items", "import", "-", "--encoding", "windows-1252"]
            let text = "store_id,item_id,on_hand\nK\u{F6}ln,a,1\n"
            let refused = try Program(database).run(options, input: text)
            #expect(refused.code == 1 && refused.err.contains("the input is in UTF-8"), "\(refused.err)")
            let western = Array(text.unicodeScalars.map { UInt8($0.value) })
            #expect(try Program(database).run(options, input: western).code == 0)
            #expect(try database.rows("SELECT store_id FROM stockq.items") == ["K\u{F6}ln"])
        }
    }

    @Test("corrected bad lines keep the keys of their lines in the first file") func correctedKeys() async throws {
        try await withDatabase { database in
            let folder = NSTemporaryDirectory() + "stockq-keys-\(UUID().uuidString)"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(atPath: folder) }
            func imported(_ input: String, rejects: String) throws -> (out: String, rejects: String) {
                let ended = try Program(database).run(
                    ["import", "-", "--idempotency-prefix", "day", "--rejects", "\(folder)/\(rejects)"], input: input)
                return (ended.out, try String(contentsOfFile: "\(folder)/\(rejects)", encoding: .utf8))
            }
            let first = try imported("store_id,item_id,quantity\ns,a,1\ns,b,one\ns,c,two\n", rejects: "bad.csv")
            let corrected = first.rejects.replacing("s,b,one", with: "s,b,5")
            let second = try imported(corrected, rejects: "worse.csv")
            #expect(second.out.hasPrefix("jobs: 2 read, 1 enqueued, 1 bad line"), "\(second.out)")
            #expect(second.rejects.hasSuffix("\n4,\"quantity must be a whole number, not 'two'\",s,c,two\n"))
            let keys = "SELECT item_id, quantity, idempotency_key FROM stockq.jobs ORDER BY 1"
            #expect(try database.rows(keys) == ["a,1,day/2", "b,5,day/3"])
        }
    }

    @Test("a stock count of the future is refused, also by a dry run") func countOfTheFuture() async throws {
        try await withDatabase { database in
            for more in [[], ["--dry-run"]] {
                let done = try Program(database).run(
                    ["items", "import", "-", "--set-stock", "--counted-at", "2099-01-01T00:00:00Z"] + more,
                    input: "store_id,item_id,on_hand\ns,a,1\n")
                #expect(
                    done.code == 1
                        && done.err.contains("counted_at is in the future; check the clock and the time zone"),
                    "\(done.err)")
            }
        }
    }

    @Test("a dry run of items shows thresholds and stock that differ") func differences() async throws {
        try await withDatabase { database in
            let header = "store_id,item_id,on_hand,low_stock_threshold\n"
            _ = try Program(database).run(["items", "import", "-"], input: header + "s,a,1,3\ns,b,2,\n")
            let done = try Program(database).run(
                ["items", "import", "-", "--dry-run"], input: header + "s,a,1,10\ns,b,5,\n")
            #expect(
                done.out == """
                    line 2: s/a: threshold 3 → 10
                    line 3: s/b: on hand 2, the file has 5 (not changed)

                    """, "\(done.out)")
        }
    }

    @Test("--trim removes blanks around ids, which are refused without it") func trim() async throws {
        try await withDatabase { database in
            let text = "store_id;item_id;quantity\n s ;\u{A0}TEA ;1\n"
            let refused = try Program(database).run(["import", "-"], input: text)
            #expect(refused.code == 1)
            #expect(refused.err.contains("store_id begins with U+0020 (SPACE)") && refused.err.contains("--trim"))
            #expect(try Program(database).run(["import", "-", "--trim"], input: text).code == 0)
            #expect(try database.rows(Self.jobs) == ["s,TEA,1"])
        }
    }

    @Test("a negative opening stock is taken only on request") func negativeStock() async throws {
        try await withDatabase { database in
            let text = "store_id,item_id,on_hand\ns,a,-2\n"
            let refused = try Program(database).run(["items", "import", "-"], input: text)
            #expect(refused.code == 1)
            #expect(
                refused.err.contains(
                    "line 2: on_hand is -2: below 0 it can only open a new item, with --allow-negative"))
            let taken = try Program(database).run(["items", "import", "-", "--allow-negative"], input: text)
            #expect(taken.code == 0, "\(taken.err)")
            #expect(try database.value("SELECT on_hand FROM stockq.items") == "-2")
        }
    }
}
