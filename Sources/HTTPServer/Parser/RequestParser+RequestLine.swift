// METHOD SP TARGET SP VERSION (RFC 9112, 3).
extension RequestParser {
    private static let methodBytesMax = 32

    /// - Parameters:
    ///   - line: with its CR, which is no part of a method, a target or a version.
    ///   - base: where positions in the head count from.
    mutating func readRequestLine(_ bytes: RawSpan, _ line: Range<Int>, base: Int) throws(RequestFault) {
        let methodEnd = try methodEnd(bytes, line)
        guard line.count <= limits.requestLineBytesMax else { throw .requestLineTooLong }
        let content = try Self.content(of: line, bytes)
        guard methodEnd < content.upperBound else { throw .requestLineMalformed }
        head.method = HTTPMethod(bytes, content.lowerBound..<methodEnd)

        // The version has a fixed length, so the target is what remains between two spaces.
        let versionStart = content.upperBound - 8
        guard versionStart - 1 > methodEnd + 1, bytes[versionStart - 1] == .space else { throw .requestLineMalformed }
        let target = methodEnd + 1..<versionStart - 1
        head.target = target.moved(by: -base)
        head.minorVersion = try version(bytes, versionStart)
        try readTarget(bytes, target, base: base)
    }

    /// - Returns: the position of the space behind the method, or the end of the line where it has none yet.
    func methodEnd(_ bytes: RawSpan, _ line: Range<Int>) throws(RequestFault) -> Int {
        var index = line.lowerBound
        while index < line.upperBound {
            let byte = bytes[index]
            if byte == .space, index > line.lowerBound { return index }
            guard ByteClass.token.contains(byte) else { throw .methodInvalid }
            guard index - line.lowerBound < Self.methodBytesMax else { throw .methodTooLong }
            index += 1
        }
        return index
    }

    /// - Returns: the minor version. A higher one than 1 means the same as 1 (RFC 9110, 2.5).
    private func version(_ bytes: RawSpan, _ start: Int) throws(RequestFault) -> Int {
        // "HTTP/" as five bytes, case-sensitively.
        let name: StaticString = "HTTP/"
        for index in 0..<5 where bytes[start + index] != name.utf8Start[index] { throw .requestLineMalformed }
        let (major, dot, minor) = (bytes[start + 5], bytes[start + 6], bytes[start + 7])
        guard ByteClass.digit.contains(major), dot == UInt8(ascii: "."), ByteClass.digit.contains(minor) else {
            throw .requestLineMalformed
        }
        guard major == UInt8(ascii: "1") else { throw .versionUnsupported }
        return minor == UInt8(ascii: "0") ? 0 : 1
    }

    /// The forms of RFC 9112, 3.2. A byte above 127 is taken as if it was percent-encoded, because curl sends a path as the
    /// user wrote it.
    private mutating func readTarget(_ bytes: RawSpan, _ target: Range<Int>, base: Int) throws(RequestFault) {
        let (isValid, question) = bytes.scanTarget(target)
        guard isValid else { throw .targetInvalid }
        let first = bytes[target.lowerBound]
        if head.method.isConnect {
            try checkAuthority(bytes, target)
            head.authority = target.moved(by: -base)
        } else if first == UInt8(ascii: "/") {
            setPath(target, question, base: base)
        } else if target.count == 1, first == UInt8(ascii: "*") {
            guard head.method.isOptions else { throw .targetFormInvalid }
        } else {
            let end = question ?? target.upperBound
            guard let start = schemeEnd(bytes, target) else { throw .targetFormInvalid }
            let slash = (start..<end).first { bytes[$0] == UInt8(ascii: "/") } ?? end
            guard slash > start else { throw .targetFormInvalid }
            try checkAuthority(bytes, start..<slash)
            head.authority = (start..<slash).moved(by: -base)
            setPath(slash..<target.upperBound, question, base: base)
        }
    }

    private mutating func setPath(_ range: Range<Int>, _ question: Int?, base: Int) {
        head.path = (range.lowerBound..<(question ?? range.upperBound)).moved(by: -base)
        head.query = question.map { ($0 + 1..<range.upperBound).moved(by: -base) }
    }

    /// A proxy's client sends a whole URI (RFC 9112, 3.2.2).
    private func schemeEnd(_ bytes: RawSpan, _ target: Range<Int>) -> Int? {
        for scheme: StaticString in ["http://", "https://"] {
            let count = scheme.utf8CodeUnitCount
            let start = target.lowerBound
            if target.count > count, bytes.matches(scheme, in: start..<start + count) { return start + count }
        }
        return nil
    }

    private func checkAuthority(_ bytes: RawSpan, _ range: Range<Int>) throws(RequestFault) {
        for index in range where !ByteClass.host.contains(bytes[index]) { throw .targetFormInvalid }
    }
}

extension Range<Int> {
    @inline(__always)
    func moved(by count: Int) -> Range<Int> { lowerBound + count..<upperBound + count }
}
