/// What the fields of a head say about the message itself, gathered line by line.
struct HeadFacts {
    var host: Range<Int>?
    var contentLength: Int?
    var hasCoding = false
    var hasUnknownCoding = false
    var isCodingInvalid = false
    var endsWithChunked = false
    var saysClose = false
    var saysKeepAlive = false
    var saysContinue = false
}

extension RequestParser {
    mutating func readHeaderLine(_ bytes: RawSpan, _ line: Range<Int>, base: Int) throws(RequestFault) {
        guard head.fields.count < limits.fieldsMax else { throw .tooManyFields }
        try readHeaderField(bytes, try Self.field(bytes, line), base: base)
    }

    @inline(__always)
    mutating func readHeaderField(
        _ bytes: RawSpan, _ field: ParsedHead.Field, base: Int
    ) throws(RequestFault) {
        guard head.fields.count < limits.fieldsMax else { throw .tooManyFields }
        head.fields.append(
            ParsedHead.Field(name: field.name.moved(by: -base), value: field.value.moved(by: -base)))
        switch field.name.count {
        case 4 where bytes.matches("host", in: field.name): try noteHost(bytes, field.value, base: base)
        case 6 where bytes.matches("expect", in: field.name):
            guard bytes.matches("100-continue", in: field.value) else { throw .expectationUnknown }
            facts.saysContinue = true
        case 10 where bytes.matches("connection", in: field.name): noteConnection(bytes, field.value)
        case 14 where bytes.matches("content-length", in: field.name): try noteLength(bytes, field.value)
        case 17 where bytes.matches("transfer-encoding", in: field.name): noteCodings(bytes, field.value)
        default: break
        }
    }

    /// The line that begins here, in one pass, if it is complete and has no fault. What is wrong with another line, or
    /// whether bytes are missing, `field` finds out.
    @inline(__always)
    static func fieldLine(_ bytes: RawSpan, from start: Int) -> (field: ParsedHead.Field, end: Int)? {
        let nameEnd = bytes.tokenEnd(start..<bytes.byteCount)
        guard nameEnd > start, nameEnd < bytes.byteCount, bytes[nameEnd] == UInt8(ascii: ":") else { return nil }
        let end = bytes.firstControl(from: nameEnd + 1)
        guard end + 1 < bytes.byteCount, bytes[end] == .carriageReturn, bytes[end + 1] == .lineFeed else { return nil }
        return (ParsedHead.Field(name: start..<nameEnd, value: bytes.trimmed(nameEnd + 1..<end)), end + 2)
    }

    /// `field-name ":" OWS field-value OWS` (RFC 9112, 5). A blank before the colon, an obsolete folded line, a control
    /// character: what two parsers of a chain can read differently is a fault.
    static func field(_ bytes: RawSpan, _ line: Range<Int>) throws(RequestFault) -> ParsedHead.Field {
        let index = bytes.tokenEnd(line)
        guard index > line.lowerBound, index < line.upperBound, bytes[index] == UInt8(ascii: ":") else {
            throw bytes[line.lowerBound].isBlank ? .foldedField : .fieldNameInvalid
        }
        let value = bytes.trimmed(index + 1..<line.upperBound)
        guard bytes.isFieldText(value) else { throw .fieldValueInvalid }
        return ParsedHead.Field(name: line.lowerBound..<index, value: value)
    }

    /// An empty one is valid: a client sends it for a URI without a host.
    private mutating func noteHost(_ bytes: RawSpan, _ value: Range<Int>, base: Int) throws(RequestFault) {
        guard facts.host == nil else { throw .hostRepeated }
        let allowed = ByteClass.host
        for index in value where !allowed.contains(bytes[index]) { throw .hostInvalid }
        facts.host = value.moved(by: -base)
    }

    /// Two lengths are a fault even if they are equal (RFC 9110, 8.6 allows it).
    private mutating func noteLength(_ bytes: RawSpan, _ value: Range<Int>) throws(RequestFault) {
        guard facts.contentLength == nil else { throw .lengthRepeated }
        guard !value.isEmpty else { throw .lengthInvalid }
        var length = 0
        for index in value {
            let digit = bytes[index] &- UInt8(ascii: "0")
            guard digit < 10 else { throw .lengthInvalid }
            // No body is that large: the limit of the body makes it a 413.
            length = length > Int.max / 16 ? Int.max : length * 10 + Int(digit)
        }
        facts.contentLength = length
    }

    private mutating func noteCodings(_ bytes: RawSpan, _ value: Range<Int>) {
        facts.hasCoding = true
        Self.forEachElement(bytes, value) { element in
            if facts.endsWithChunked { facts.isCodingInvalid = true }
            facts.endsWithChunked = bytes.matches("chunked", in: element)
            if !facts.endsWithChunked { facts.hasUnknownCoding = true }
        }
    }

    private mutating func noteConnection(_ bytes: RawSpan, _ value: Range<Int>) {
        Self.forEachElement(bytes, value) { element in
            if bytes.matches("close", in: element) { facts.saysClose = true }
            if bytes.matches("keep-alive", in: element) { facts.saysKeepAlive = true }
        }
    }

    /// The elements of a comma-separated list that are not empty.
    private static func forEachElement(_ bytes: RawSpan, _ value: Range<Int>, _ body: (Range<Int>) -> Void) {
        var start = value.lowerBound
        while start <= value.upperBound {
            var end = start
            while end < value.upperBound, bytes[end] != UInt8(ascii: ",") { end += 1 }
            let element = bytes.trimmed(start..<end)
            if !element.isEmpty { body(element) }
            start = end + 1
        }
    }

    // MARK: the end of the head

    /// Host (RFC 9112, 3.2), framing (6.3) and persistence (9.3).
    mutating func completeHead(_ bytes: RawSpan, base: Int) throws(RequestFault) {
        guard facts.host != nil || head.minorVersion == 0 else { throw .hostMissing }
        // The authority of an absolute target replaces Host.
        if head.authority == nil { head.authority = facts.host }
        head.framing = try framing()
        head.keepsAlive = !facts.saysClose && (head.minorVersion == 1 || facts.saysKeepAlive)
        // HTTP/1.0 has no interim answers.
        head.expectsContinue = facts.saysContinue && head.minorVersion == 1
    }

    private func framing() throws(RequestFault) -> ParsedHead.Framing {
        guard facts.hasCoding else { return facts.contentLength.map { .length($0) } ?? .none }
        guard facts.contentLength == nil else { throw .lengthAndCoding }
        guard head.minorVersion == 1 else { throw .codingInVersion10 }
        guard facts.endsWithChunked, !facts.isCodingInvalid else { throw .codingNotChunked }
        guard !facts.hasUnknownCoding else { throw .codingUnknown }
        return .chunked
    }
}
