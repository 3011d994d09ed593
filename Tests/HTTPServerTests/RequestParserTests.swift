import FuzzTargets
import HTTPServer
import Testing

/// The grammar of RFC 9112, and the limits: each case in one piece, byte by byte, and cut in two at each place.
@Suite struct RequestParserTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var text: String
        /// `METHOD PATH?QUERY @AUTHORITY [fields] body`, one a request.
        var requests: [String] = []
        /// nil where the parser waits for more bytes.
        var fault: Int?

        init(_ name: String, _ text: String, _ requests: [String] = [], fault: Int? = nil) {
            (testDescription, self.text, self.requests, self.fault) = (name, text, requests, fault)
        }
    }

    static let limits = {
        var limits = ParserLimits()
        (limits.requestLineBytesMax, limits.fieldBytesMax, limits.fieldsMax, limits.bodyBytesMax) = (120, 200, 5, 50)
        return limits
    }()

    static func summary(_ message: RequestTrace.Message) -> String {
        var text = "\(message.method) \(message.path)"
        if let query = message.query { text += "?\(query)" }
        if let authority = message.authority { text += " @\(authority)" }
        if !message.body.isEmpty { text += " \(String(decoding: message.body, as: UTF8.self))" }
        if message.expectsContinue { text += " expects" }
        if !message.keepsAlive { text += " closes" }
        return text
    }

    private static func check(_ input: Case) {
        let bytes = Array(input.text.utf8)
        func verify(_ pieces: [Int]) {
            let trace = RequestTrace(parsing: bytes, limits: limits, pieces: pieces)
            #expect(trace.messages.map(summary) == input.requests, "in pieces of \(pieces)")
            let end: RequestTrace.End = input.fault.map { .fault($0) } ?? .needsBytes
            #expect(trace.end == end, "in pieces of \(pieces)")
        }
        verify([bytes.count])
        verify([1])
        for cut in 1..<max(2, bytes.count) { verify([cut, bytes.count]) }
    }

    @Test("each byte at each place of a name and of a value is read as by the plain grammar")
    func everyByteOfAField() {
        let head = Array("GET / HTTP/1.1\r\nHost: x\r\n".utf8)
        let line = Array("X-Requested-2nd: a value, \t with blanks\r\n".utf8)
        for place in line.indices {
            for byte in UInt8.min ... .max {
                var changed = line
                changed[place] = byte
                let bytes = head + changed + Array("\r\n".utf8)
                let expected = PlainHTTP.trace(bytes, Self.limits)
                let cut = head.count + place
                for pieces in [[bytes.count], [cut, bytes.count], [cut + 1, bytes.count]] {
                    let trace = RequestTrace(parsing: bytes, limits: Self.limits, pieces: pieces)
                    #expect(trace == expected, "\(byte) at \(place), in pieces of \(pieces)")
                }
            }
        }
    }

    // MARK: what is accepted

    @Test(
        "a request is read, however its bytes arrive",
        arguments: [
            Case("the least", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", ["GET / @x"]),
            Case("no host in HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", ["GET / closes"]),
            Case("a later minor version", "GET / HTTP/1.7\r\nHost: x\r\n\r\n", ["GET / @x"]),
            Case("an empty host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", ["GET / @"]),
            Case("blanks around values", "GET / HTTP/1.1\r\nHost: \t x:80 \t\r\n\r\n", ["GET / @x:80"]),
            Case("an address in brackets", "GET / HTTP/1.1\r\nHOST: [::1]:80\r\n\r\n", ["GET / @[::1]:80"]),
            Case(
                "a query with brackets", "GET /a?page[limit]=2?b HTTP/1.1\r\nhost: x\r\n\r\n",
                ["GET /a?page[limit]=2?b @x"]),
            Case("a path that is not ASCII", "GET /ü%20{}|\" HTTP/1.1\r\nhost: x\r\n\r\n", ["GET /ü%20{}|\" @x"]),
            Case("a length", "PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 005\r\n\r\n12345", ["PUT /a @x 12345"]),
            Case("no length and no body", "POST /a HTTP/1.1\r\nHost: x\r\n\r\n", ["POST /a @x"]),
            Case(
                "two requests", "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n",
                ["GET /1 @x", "GET /2 @x"]),
            Case(
                "an empty line between requests",
                "PUT /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n1\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n",
                ["PUT /1 @x 1", "GET /2 @x"]),
            Case(
                "chunks with extensions and trailers",
                "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: ChunKed\r\n\r\n"
                    + "5;a=b;c=\"d\"\r\nhello\r\n00A ; x\r\n, 12345678\r\n0\r\nA: b\r\nContent-Length: 3\r\n\r\n",
                ["POST / @x hello, 12345678"]),
            Case(
                "an empty chunked body", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: , chunked,\r\n\r\n0\r\n\r\n",
                ["POST / @x"]),
            Case(
                "a whole URI", "POST HTTP://api.x.com:80/v1/a?b HTTP/1.1\r\nhost: y\r\n\r\n",
                ["POST /v1/a?b @api.x.com:80"]),
            Case("a whole URI without a path", "GET https://x?a HTTP/1.1\r\nhost: x\r\n\r\n", ["GET ?a @x"]),
            Case("the server itself", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", ["OPTIONS  @x"]),
            Case("CONNECT", "CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n", ["CONNECT  @x:443"]),
            Case("an unknown method", "FOO-bar / HTTP/1.1\r\nHost: x\r\n\r\n", ["FOO-bar / @x"]),
            Case("close", "GET / HTTP/1.1\r\nHost: x\r\nConnection: a, Close\r\n\r\n", ["GET / @x closes"]),
            Case("keep-alive in HTTP/1.0", "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", ["GET /"]),
            Case(
                "an expectation", "PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n1",
                ["PUT / @x 1 expects"]),
            Case("an expectation in HTTP/1.0", "GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n", ["GET / closes"]),
            Case("bytes above 127 in a value", "GET / HTTP/1.1\r\nHost: x\r\nA: é\tü\r\n\r\n", ["GET / @x"]),
            Case("no request", "", []), Case("a part of a head", "GET / HTTP/1.1\r\nHost: x\r\n", []),
            Case("a part of a body", "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n1", []),
        ]) func accepted(_ input: Case)
    { Self.check(input) }

    // MARK: what is not

    private static func head(_ lines: String...) -> String {
        "POST / HTTP/1.1\r\nHost: x\r\n" + lines.map { $0 + "\r\n" }.joined() + "\r\n"
    }

    private static let chunked = head("Transfer-Encoding: chunked")

    @Test(
        "a request that two servers could read differently is a fault",
        arguments: [
            Case("length and coding", head("Content-Length: 5", "Transfer-Encoding: chunked"), fault: 400),
            Case("coding and length", head("Transfer-Encoding: chunked", "Content-Length: 5"), fault: 400),
            Case("two lengths", head("Content-Length: 5", "Content-Length: 6"), fault: 400),
            Case("two equal lengths", head("Content-Length: 5", "content-length: 5"), fault: 400),
            Case("a list of lengths", head("Content-Length: 5, 5"), fault: 400),
            Case("a signed length", head("Content-Length: +5"), fault: 400),
            Case("a hexadecimal length", head("Content-Length: 0x5"), fault: 400),
            Case("a negative length", head("Content-Length: -1"), fault: 400),
            Case("an empty length", head("Content-Length:"), fault: 400),
            Case("a length beyond every number", head("Content-Length: 99999999999999999999999"), fault: 413),
            Case("chunked twice", head("Transfer-Encoding: chunked, chunked"), fault: 400),
            Case("chunked on two lines", head("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), fault: 400),
            Case("chunked not last", head("Transfer-Encoding: chunked, gzip"), fault: 400),
            Case("another coding", head("Transfer-Encoding: gzip"), fault: 400),
            Case("a coding like chunked", head("Transfer-Encoding: xchunked"), fault: 400),
            Case("chunked with a parameter", head("Transfer-Encoding: chunked;a=b"), fault: 400),
            Case("no coding", head("Transfer-Encoding:"), fault: 400),
            Case("identity", head("Transfer-Encoding: identity"), fault: 400),
            Case("another coding before chunked", head("Transfer-Encoding: gzip, chunked"), fault: 501),
            Case("coding in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", fault: 400),
            Case("a control character before chunked", head("Transfer-Encoding: \u{B}chunked"), fault: 400),
            Case("a folded line", head("A: b", " c"), fault: 400),
            Case("a first line that begins with a blank", "POST / HTTP/1.1\r\n Host: x\r\n\r\n", fault: 400),
            Case("a blank before the colon", head("Content-Length : 5"), fault: 400),
            Case("a line without a colon", head("Content-Length"), fault: 400),
            Case("a line without a name", head(": x"), fault: 400),
            Case("a name with a blank", head("Content Length: 5"), fault: 400),
            Case("a NUL in a value", head("A: b\0c"), fault: 400),
            Case("a CR in a value", head("A: b\rContent-Length: 5"), fault: 400),
            Case("lines that end with LF", "POST / HTTP/1.1\nHost: x\n\n", fault: 400),
            Case("one line that ends with LF", "POST / HTTP/1.1\r\nHost: x\nA: b\r\n\r\n", fault: 400),
            Case("a head that ends with LF", "POST / HTTP/1.1\r\nHost: x\r\n\n", fault: 400),
            Case("no host", "GET / HTTP/1.1\r\n\r\n", fault: 400),
            Case("two hosts", head("Host: x"), fault: 400),
            Case("a host with a path", "GET / HTTP/1.1\r\nHost: x/y\r\n\r\n", fault: 400),
            Case("a host with a user", "GET / HTTP/1.1\r\nHost: a@x\r\n\r\n", fault: 400),
            Case("two hosts in a list", "GET / HTTP/1.1\r\nHost: x, y\r\n\r\n", fault: 400),
            Case("a chunk without a size", chunked + "\r\n", fault: 400),
            Case("a chunk with a sign", chunked + "-1\r\n", fault: 400),
            Case("a chunk in another notation", chunked + "0x1\r\n", fault: 400),
            Case("a blank before a size", chunked + " 1\r\n", fault: 400),
            Case("a size that ends with LF", chunked + "1\n1\r\n", fault: 400),
            Case("a chunk longer than its size", chunked + "1\r\n12\r\n", fault: 400),
            Case("a chunk that ends with LF", chunked + "1\r\n1\n0\r\n", fault: 400),
            Case("a chunk that ends with CR", chunked + "1\r\n1\rx", fault: 400),
            Case("a size with an LF in its extension", chunked + "1;a=\"\n\"\r\n1\r\n", fault: 400),
            Case("a size that overflows", chunked + "10000000000000000\r\n", fault: 400),
            Case("a folded trailer", chunked + "0\r\nA: b\r\n c\r\n\r\n", fault: 400),
            Case("a trailer without a colon", chunked + "0\r\nA\r\n\r\n", fault: 400),
        ]) func ambiguous(_ input: Case)
    { Self.check(input) }

    @Test(
        "a request line that is none is a fault",
        arguments: [
            Case("no version", "GET /\r\n", fault: 400), Case("no target", "GET  HTTP/1.1\r\n", fault: 400),
            Case("only a method", "GET\r\n", fault: 400), Case("two blanks", "GET  / HTTP/1.1\r\n", fault: 400),
            Case("a blank in the target", "GET /a b HTTP/1.1\r\n", fault: 400),
            Case("a blank at the end", "GET / HTTP/1.1 \r\n", fault: 400),
            Case("a blank at the start", " GET / HTTP/1.1\r\n", fault: 400),
            Case("a tab", "GET\t/ HTTP/1.1\r\n", fault: 400),
            Case("a version in lower case", "GET / http/1.1\r\n", fault: 400),
            Case("two digits", "GET / HTTP/1.10\r\n", fault: 400), Case("HTTP/2", "PRI * HTTP/2.0\r\n", fault: 505),
            Case("HTTP/0.9", "GET / HTTP/0.9\r\n", fault: 505), Case("TLS", "\u{16}\u{3}\u{1}", fault: 400),
            Case("a fragment", "GET /a#b HTTP/1.1\r\n", fault: 400),
            Case("a DEL", "GET /\u{7F} HTTP/1.1\r\n", fault: 400),
            Case("a relative path", "GET a HTTP/1.1\r\n", fault: 400), Case("a star", "GET * HTTP/1.1\r\n", fault: 400),
            Case("another scheme", "GET ftp://x/ HTTP/1.1\r\n", fault: 400),
            Case("a URI without a host", "GET http:///a HTTP/1.1\r\n", fault: 400),
            Case("a URI with a user", "GET http://a@b/ HTTP/1.1\r\n", fault: 400),
            Case("CONNECT with a path", "CONNECT /a HTTP/1.1\r\n", fault: 400),
            Case("too many empty lines", "\r\n\r\n\r\n\r\n\r\n", fault: 400),
            Case("a CR alone", "\rGET / HTTP/1.1\r\n", fault: 400),
            Case("a method without end", String(repeating: "A", count: 33), fault: 501),
            Case("an unknown expectation", head("Expect: 200-ok"), fault: 417),
        ]) func requestLine(_ input: Case)
    { Self.check(input) }

    @Test(
        "each limit has its status",
        arguments: [
            Case(
                "a request line within it", "GET /" + text(105) + " HTTP/1.1\r\nHost: x\r\n\r\n",
                ["GET /" + text(105) + " @x"]),
            Case("a request line beyond it", "GET /" + text(106) + " HTTP/1.1\r\nHost: x\r\n\r\n", fault: 414),
            Case("a request line without end", "GET /" + text(200), fault: 414),
            Case("fields within it", "GET / HTTP/1.1\r\nHost: x\r\nA: " + text(184) + "\r\n\r\n", ["GET / @x"]),
            Case("fields beyond it", "GET / HTTP/1.1\r\nHost: x\r\nA: " + text(185) + "\r\n\r\n", fault: 431),
            Case("a field without end", head("A: " + text(300)), fault: 431),
            Case("five fields", "GET / HTTP/1.1\r\nHost: x\r\n" + fields(4) + "\r\n", ["GET / @x"]),
            Case("six fields", "GET / HTTP/1.1\r\nHost: x\r\n" + fields(5) + "\r\n", fault: 431),
            Case("a body within it", head("Content-Length: 50") + text(50), ["POST / @x " + text(50)]),
            Case("a body beyond it", head("Content-Length: 51"), fault: 413),
            Case(
                "chunks within it", chunked + "31\r\n" + text(49) + "\r\n1\r\na\r\n0\r\n\r\n", ["POST / @x " + text(50)]
            ),
            Case("chunks beyond it", chunked + "31\r\n" + text(49) + "\r\n2\r\n", fault: 413),
            Case(
                "extensions beyond it", chunked + (0..<3).map { _ in "1;" + text(70) + "\r\na\r\n" }.joined(),
                fault: 400),
            Case("one extension beyond it", chunked + "1;" + text(1_100), fault: 400),
            Case("trailers beyond it", chunked + "0\r\n" + "A: " + text(300), fault: 431),
            Case("six trailers", chunked + "0\r\n" + fields(6) + "\r\n", fault: 431),
        ]) func limits(_ input: Case)
    { Self.check(input) }

    private static func text(_ count: Int) -> String { String(repeating: "a", count: count) }

    private static func fields(_ count: Int) -> String { (0..<count).map { "A\($0): b\r\n" }.joined() }

    @Test("each byte is allowed or not in a name, a value, and a target, as the grammar says")
    func everyByte() {
        let tokens = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~".utf8)
        func isAccepted(_ before: String, _ byte: UInt8, _ after: String) -> Bool {
            let bytes = Array(before.utf8) + [byte] + Array(after.utf8)
            return RequestTrace(parsing: bytes, limits: ParserLimits(), pieces: [bytes.count]).messages.count == 1
        }
        for byte in UInt8.min...UInt8.max {
            let isControl = byte < 32 || byte == 127
            #expect(
                isAccepted("GET / HTTP/1.1\r\nHost: x\r\nA", byte, "B: c\r\n\r\n")
                    == (tokens.contains(byte) || byte == UInt8(ascii: ":")))
            // At each place of a block of eight.
            for place in 0..<9 {
                let before = "GET / HTTP/1.1\r\nHost: x\r\nA: \(Self.text(place + 1))"
                #expect(isAccepted(before, byte, "\(Self.text(9 - place))\r\n\r\n") == (!isControl || byte == 9))
            }
            #expect(
                isAccepted("GET /a", byte, "b HTTP/1.1\r\nHost: x\r\n\r\n")
                    == !(isControl || byte == 32 || byte == UInt8(ascii: "#")))
            #expect(isAccepted("G", byte, "T / HTTP/1.1\r\nHost: x\r\n\r\n") == tokens.contains(byte))
        }
    }
}
