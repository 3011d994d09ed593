import StockFormats
import StockModel
import Testing

/// Texts become typed requests, and typed requests become COPY lines.
@Suite struct RequestTests {
    @Test(
        "a whole number has a sign and digits",
        arguments: [
            ("0", .value(0)), ("+5", .value(5)), ("-5", .value(-5)), ("007", .value(7)),
            ("9223372036854775807", .value(.max)), ("-9223372036854775808", .value(.min)),
            ("9223372036854775808", .overflow), ("-9223372036854775809", .overflow), ("", .malformed),
            ("-", .malformed),
            ("5.0", .malformed), ("1e3", .malformed), (" 1", .malformed), ("+-1", .malformed),
        ] as [(String, WholeNumber)])
    func wholeNumbers(text: String, expected: WholeNumber) {
        #expect(WholeNumber(Array(text.utf8)[...]) == expected)
    }

    @Test(
        "a whole number of a file may have blanks around it and zeros behind a point, which is not one of thousands",
        arguments: [
            ("12", .value(12)), (" 12\u{A0}", .value(12)), ("12.0", .value(12)), ("-12.00 ", .value(-12)),
            ("0.000", .value(0)), ("1000.000", .value(1_000)), ("1.0000", .value(1)), ("1.000", .ambiguous(1)),
            ("-999.000", .ambiguous(-999)), ("12.", .malformed), (".0", .malformed), ("12.5", .malformed),
            ("1.000.000", .grouped), ("12,0", .value(12)), ("1,000", .ambiguous(1)), ("-1'234", .grouped),
            ("12.34", .malformed), ("1.2345", .malformed), ("\u{2212}7", .dashed), ("\u{2013}", .malformed),
            ("1e3", .malformed), (" ", .malformed),
            ("1 2", .malformed),
            ("9223372036854775808.0", .overflow),
        ] as [(String, WholeNumber)])
    func writtenNumbers(text: String, expected: WholeNumber) {
        #expect(WholeNumber(written: Array(text.utf8)[...]) == expected)
    }

    @Test(
        "a long number that a spreadsheet has rounded is known by its form",
        arguments: [
            ("4.00638E+12", true), ("4,00638E+12", true), ("4.00638e+12", true), ("4E+12", true), ("E+12", false),
            ("4.E+12", false), ("4.1.2E+12", false), ("4.00638E12", false), ("4.00638E+", false), ("A4E+12", false),
            ("+", false), ("4006381333931", false), ("", false),
        ])
    func roundedNumbers(text: String, isRounded: Bool) {
        #expect(WholeNumber.isRounded(Array(text.utf8)[...]) == isRounded)
    }

    @Test("texts become a typed job with the table's defaults")
    func typedJob() throws {
        let job = try JobRequest(texts: [
            .storeID: "s", .itemID: "a", .quantity: "+3", .action: "allocate", .onInsufficient: "wait", .notify: "No",
            .expiresAt: "2000-01-01T00:00:01Z", .groupID: "g",
        ])
        var expected = JobRequest(store: "s", item: "a", quantity: 3)
        expected.action = .allocate
        expected.onInsufficient = .wait
        expected.notify = false
        expected.expiresAtMicroseconds = 1_000_000
        expected.groupID = "g"
        #expect(job == expected)
    }

    @Test(
        "an error has the field and a code",
        arguments: [
            ([:], .storeID, .required, "store_id is empty"),
            ([.storeID: "s", .itemID: "a"], .quantity, .required, "quantity is empty"),
            (
                [.storeID: "s", .itemID: "a", .quantity: "x"], .quantity, .malformed,
                "quantity must be a whole number, not 'x'"
            ),
            (
                [.storeID: "s", .itemID: "a", .quantity: "1", .priority: "5"], .priority, .outOfRange,
                "priority must be from 1 to 4, not 5"
            ),
            (
                [.storeID: "s", .itemID: "a", .quantity: "1", .reason: String(repeating: "x", count: 2_001)], .reason,
                .tooLong,
                "reason has 2001 bytes, at most 2000 are allowed"
            ),
            (
                [.storeID: "s", .itemID: "a", .quantity: "1", .action: "Set"], .action, .unknownValue,
                "action must be one of adjust, allocate, deallocate, ship, set, not 'Set'"
            ),
            (
                [.storeID: "s", .itemID: "a", .quantity: "1", .groupID: "g", .orderingKey: "k"], .orderingKey,
                .conflict,
                "group_id and ordering_key are mutually exclusive"
            ),
            ([.storeID: "s", .itemID: "a", .quantity: "1", .groupID: ""], .groupID, .required, "group_id is empty"),
            (
                [.storeID: "s", .itemID: "a", .quantity: "1", .notify: "maybe"], .notify, .malformed,
                "notify must be true or false, not 'maybe'"
            ),
        ] as [([JobField: String], JobField, ValidationError.Code, String)])
    func errors(texts: [JobField: String], field: JobField, code: ValidationError.Code, message: String) {
        let error = #expect(throws: ValidationError.self) { try JobRequest(texts: texts) }
        #expect(error == ValidationError(message, code: code, field: field.rawValue))
    }

    @Test("a typed job is checked by the same rules")
    func typedRules() {
        var job = JobRequest(store: "s", item: "a\0", quantity: 1)
        #expect(throws: ValidationError("item_id contains a NUL byte", code: .malformed, field: "item_id")) {
            try job.validate()
        }
        job.itemID = "a"
        job.quantity = .min
        #expect(throws: ValidationError.self) { try job.validate() }
        job.quantity = 0
        #expect(throws: Never.self) { try job.validate() }
        job.action = .ship
        #expect(
            throws: ValidationError("quantity must be above 0 for ship, not 0", code: .outOfRange, field: "quantity")
        ) { try job.validate() }
    }

    @Test("a COPY line has NULLs, escapes and UTC times")
    func copyLine() {
        var job = JobRequest(store: "s\\N", item: "a\tb\r\n", quantity: -1)
        job.runAtMicroseconds = 0
        var line: [UInt8] = []
        let fields: [JobField] = [.storeID, .itemID, .quantity, .groupID, .runAt, .notify, .action]
        COPYText.appendLine(job, fields, to: &line)
        #expect(
            String(decoding: line, as: UTF8.self) == "s\\\\N\ta\\tb\\r\\n\t-1\t\\N\t2000-01-01 00:00:00+00\tt\tadjust\n"
        )
    }

    @Test("the first fault of a line is reported, with the line when it is known")
    func described() {
        let error = ValidationError("quantity is empty", code: .required, field: "quantity")
        #expect(error.description == "quantity is empty")
        #expect(error.at(line: 7).description == "line 7: quantity is empty")
    }
}
