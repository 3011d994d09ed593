import StockFormats
import StockModel
import Testing

@Suite struct JSONTests {
    private static func read(_ text: String, depthMax: Int = 64) throws(ValidationError) -> JSONValue {
        try JSONReader.read(Array(text.utf8)[...], depthMax: depthMax)
    }

    private static func error(_ text: String, depthMax: Int = 64) throws -> ValidationError {
        try #require(throws: ValidationError.self) { try read(text, depthMax: depthMax) }
    }

    @Test("nested values keep the order of their members")
    func nested() throws {
        let value = try Self.read(#" {"b": [1, {"c": null}, []], "a": {"t": true, "f": false}, "": "x"} "#)
        #expect(
            value == [
                "b": [1, ["c": nil], []], "a": ["t": true, "f": false], "": "x",
            ])
        #expect(JSONWriter.text(of: value) == #"{"b":[1,{"c":null},[]],"a":{"t":true,"f":false},"":"x"}"#)
        #expect(value["a"]?["t"] == true && value["nothing"] == nil && value["b"]?["c"] == nil)
    }

    @Test("a value is read from the middle of a buffer, with positions of its own")
    func slices() throws {
        let bytes = Array("xx[1, ?]yy".utf8)
        #expect(try JSONReader.read(bytes[2..<4] + bytes[7..<8]) == [1])
        let error = #expect(throws: ValidationError.self) { try JSONReader.read(bytes[2..<8]) }
        #expect(error?.message == "not JSON: unexpected '?' at byte 5")
    }

    @Test(
        "strings are unescaped",
        arguments: [
            (#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{C}\n\r\t"), (#""\u00e9\uD83D\uDE00\u0000""#, "é😀\0"),
            (#""é😀""#, "é😀"),
        ])
    func strings(text: String, expected: String) throws { #expect(try Self.read(text) == .string(expected)) }

    @Test(
        "numbers keep every digit",
        arguments: [
            ("12345678901234567890", "12345678901234567890", nil), ("-0", "-0", 0), ("5.0", "5", 5),
            ("1.5e1", "15", 15),
            ("-1.5E+1", "-15", -15), ("100e-2", "1", 1), ("1.10", "1.10", nil), ("0.0e9", "0", 0),
            ("4503599627370497.5", "4503599627370497.5", nil), ("1e41", "1e41", nil),
            ("9223372036854775807", "9223372036854775807", 9_223_372_036_854_775_807),
        ] as [(String, String, Int64?)])
    func numbers(text: String, plain: String, int64: Int64?) throws {
        guard case .number(let number) = try Self.read(text) else { throw ValidationError("not a number") }
        #expect(number.literal == text && number.plain == plain && number.int64 == int64)
        #expect(JSONWriter.text(of: .number(number)) == text)
    }

    @Test(
        "a fault is reported with its byte",
        arguments: [
            ("", "not JSON: it ends too early"), ("[1, 2", "not JSON: it ends too early"),
            ("nul", "not JSON: it ends too early"), ("[1,]", "not JSON: unexpected ']' at byte 4"),
            (#"{"a" 1}"#, "not JSON: unexpected '1' at byte 6"), (#"{a: 1}"#, "not JSON: unexpected 'a' at byte 2"),
            ("1 2", "not JSON: unexpected '2' at byte 3"), ("01", "not JSON: a number with a leading zero at byte 1"),
            ("1.", "not JSON: it ends too early"), ("+1", "not JSON: unexpected '+' at byte 1"),
            ("\"a\nb\"", "not JSON: control character in a string at byte 3"),
            (#""\x""#, "not JSON: unexpected 'x' at byte 3"), (#""\uD800 ""#, "not JSON: unexpected ' ' at byte 8"),
            (#""\uDE00""#, "not JSON: an escape that is half a character at byte 8"),
            ("NaN", "not JSON: unexpected 'N' at byte 1"),
            ("'a'", "not JSON: unexpected ''' at byte 1"), ("\u{FEFF}1", "not JSON: unexpected '\u{FFFD}' at byte 1"),
        ])
    func faults(text: String, message: String) throws {
        let error = try Self.error(text)
        #expect(error.message == message && error.code == .malformed)
    }

    @Test("a string that is not UTF-8 is a fault")
    func invalidUTF8() {
        let error = #expect(throws: ValidationError.self) { try JSONReader.read([0x22, 0x61, 0xC3, 0x28, 0x22]) }
        #expect(error?.message == "not JSON: a string that is not valid UTF-8 at byte 2")
    }

    @Test("a duplicate key is reported, at any depth and among many", arguments: [false, true])
    func duplicateKeys(many: Bool) throws {
        let others = many ? (0..<100).map { "\"k\($0)\": 0, " }.joined() : ""
        let error = try Self.error("[{\(others)\"a\": 1, \"\\u0061\": 2}]")
        #expect(error.code == .duplicateField && error.field == "a")
        #expect(error.message.hasPrefix("a is given twice in an object at byte "))
        // Equal as texts, and different keys.
        #expect(throws: Never.self) { try Self.read("{\(others)\"\u{E9}\": 1, \"e\u{301}\": 2}") }
    }

    @Test("nesting has a limit")
    func depth() throws {
        #expect(throws: Never.self) { try Self.read("[[[]], [[1]]]", depthMax: 3) }
        #expect(try Self.error("[[[[]]]]", depthMax: 3).message == "not JSON: nested too deep at byte 4")
        let endless = String(repeating: "[", count: 1_000_000)
        #expect(try Self.error(endless).message == "not JSON: nested too deep at byte 65")
    }

    @Test(
        "control characters are escaped, slashes are not",
        arguments: [
            ("a/b", #""a/b""#), ("\"\\", #""\"\\""#), ("\u{1B}[2J\u{7F}", #""\u001b[2J\u007f""#),
            ("\u{8}\u{C}\n\r\t\0", #""\b\f\n\r\t\u0000""#),
            ("\u{80}\u{9B}\u{9F}\u{A0}é😀", "\"\\u0080\\u009b\\u009f\u{A0}é😀\""),
        ])
    func quoting(text: String, expected: String) throws {
        #expect(JSONWriter.quoted(text) == expected)
        #expect(try Self.read(expected) == .string(text))
    }

    @Test("a writer puts commas between values")
    func writing() {
        var json = JSONWriter()
        json.object { json in
            json.key("id")
            json.integer(Int64.min)
            json.key("list")
            json.array { json in
                json.string("a")
                json.bool(true)
                json.null()
                json.object { _ in }
                json.encoded(#"{"x":1}"#)
            }
        }
        #expect(json.text == #"{"id":-9223372036854775808,"list":["a",true,null,{},{"x":1}]}"#)
    }
}
