import HTTPServer

/// The grammar of a request a second time: plain, slow, and with all bytes at hand.
package struct PlainHTTP {
    private struct Fault: Error {
        var status: Int
        init(_ status: Int) { self.status = status }
    }
    private struct Incomplete: Error {}

    private struct Field {
        /// In lower case.
        var name: String
        var value: [UInt8]
    }

    private var rest: [UInt8]
    private let limits: ParserLimits
    private static let digits = Set("0123456789".utf8)
    private static let hexDigits = Set("0123456789abcdefABCDEF".utf8)
    private static let tokens = Set(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~".utf8)
    private static let hosts = Set(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=:[]%".utf8)

    package static func trace(_ bytes: [UInt8], _ limits: ParserLimits) -> RequestTrace {
        var plain = PlainHTTP(rest: bytes, limits: limits)
        var trace = RequestTrace()
        do {
            while true { trace.messages.append(try plain.message()) }
        } catch let fault as Fault {
            trace.end = .fault(fault.status)
        } catch {
            trace.end = .needsBytes
        }
        return trace
    }

    private mutating func message() throws -> RequestTrace.Message {
        var message = RequestTrace.Message()
        let version = try requestLine(&message)
        var lines: [Field] = []
        var bytes = 0
        while true {
            let line = try line(max: limits.fieldBytesMax - bytes, else: 431)
            bytes += line.count + 2
            if line.isEmpty { break }
            if lines.count == limits.fieldsMax { throw Fault(431) }
            let field = try field(line)
            if field.name == "expect", Self.lower(field.value) != "100-continue" { throw Fault(417) }
            try checkAtOnce(field, lines)
            lines.append(field)
            let name = String(decoding: line.prefix(field.name.utf8.count), as: UTF8.self)
            message.fields.append("\(name): \(String(decoding: field.value, as: UTF8.self))")
        }
        func values(_ name: String) -> [[UInt8]] { lines.filter { $0.name == name }.map(\.value) }
        func elements(_ name: String) -> [String] {
            values(name).flatMap { $0.split(separator: UInt8(ascii: ",")) }.map { Self.lower(Self.trim($0[...])) }
                .filter { !$0.isEmpty }
        }
        if values("host").isEmpty, version == 1 { throw Fault(400) }
        message.authority = message.authority ?? values("host").first.map { String(decoding: $0, as: UTF8.self) }
        let options = elements("connection")
        message.keepsAlive = !options.contains("close") && (version == 1 || options.contains("keep-alive"))
        message.expectsContinue = version == 1 && !values("expect").isEmpty
        if !values("transfer-encoding").isEmpty {
            let codings = elements("transfer-encoding")
            guard values("content-length").isEmpty, version == 1, codings.last == "chunked",
                codings.filter({ $0 == "chunked" }).count == 1
            else { throw Fault(400) }
            guard codings.count == 1 else { throw Fault(501) }
            message.body = try chunks()
        } else if let text = values("content-length").first {
            guard let length = Int(String(decoding: text, as: UTF8.self)), length <= limits.bodyBytesMax else {
                throw Fault(413)
            }
            guard rest.count >= length else { throw Incomplete() }
            message.body = Array(rest.prefix(length))
            rest.removeFirst(length)
        }
        return message
    }

    private func checkAtOnce(_ field: Field, _ before: [Field]) throws {
        guard field.name == "host" || field.name == "content-length" else { return }
        let isHost = field.name == "host"
        guard !before.contains(where: { $0.name == field.name }),
            field.value.allSatisfy((isHost ? Self.hosts : Self.digits).contains), isHost || !field.value.isEmpty
        else { throw Fault(400) }
    }

    /// - Returns: the minor version.
    private mutating func requestLine(_ message: inout RequestTrace.Message) throws -> Int {
        var empty = 0
        while rest.first == 13 {
            guard rest.count > 1 else { throw Incomplete() }
            guard rest[1] == 10 else { throw Fault(400) }
            empty += 1
            if empty > 4 { throw Fault(400) }
            rest.removeFirst(2)
        }
        // The method is checked before the line is complete.
        let method = rest.prefix { Self.tokens.contains($0) }
        if method.count > 32 { throw Fault(501) }
        if method.count < rest.count, rest[method.count] != 32 || method.isEmpty { throw Fault(400) }
        let line = try line(max: limits.requestLineBytesMax, else: 414, countsEnd: false)
        let words = line.split(separator: 32, omittingEmptySubsequences: false)
        let version = Array(words.last ?? [])
        guard words.count > 3 || words.count == 3 && !words[1].isEmpty, version.count == 8,
            version.starts(with: "HTTP/".utf8), Self.digits.contains(version[5]), version[6] == UInt8(ascii: "."),
            Self.digits.contains(version[7])
        else { throw Fault(400) }
        guard version[5] == UInt8(ascii: "1") else { throw Fault(505) }
        guard words.count == 3 else { throw Fault(400) }
        message.method = String(decoding: method, as: UTF8.self)
        try target(Array(words[1]), &message)
        return version[7] == UInt8(ascii: "0") ? 0 : 1
    }

    private func target(_ bytes: [UInt8], _ message: inout RequestTrace.Message) throws {
        guard bytes.allSatisfy({ $0 > 32 && $0 != 127 && $0 != 35 }) else { throw Fault(400) }
        let text = String(decoding: bytes, as: UTF8.self)
        message.target = text
        if message.method == "CONNECT" {
            guard bytes.allSatisfy(Self.hosts.contains) else { throw Fault(400) }
            message.authority = text
            return
        }
        if text == "*" {
            guard message.method == "OPTIONS" else { throw Fault(400) }
            return
        }
        var path = bytes[...]
        if bytes.first != 47 {
            let lower = text.lowercased()
            guard lower.hasPrefix("http://") || lower.hasPrefix("https://") else { throw Fault(400) }
            path = bytes.dropFirst(lower.hasPrefix("https") ? 8 : 7)
            let authority = path.prefix { $0 != 47 && $0 != 63 }
            guard !authority.isEmpty, authority.allSatisfy(Self.hosts.contains) else { throw Fault(400) }
            message.authority = String(decoding: authority, as: UTF8.self)
            path = path.dropFirst(authority.count)
        }
        let parts = path.split(separator: 63, maxSplits: 1, omittingEmptySubsequences: false)
        message.path = parts.first.map { String(decoding: $0, as: UTF8.self) } ?? ""
        message.query = parts.count > 1 ? String(decoding: parts[1], as: UTF8.self) : nil
    }

    private mutating func chunks() throws -> [UInt8] {
        var (body, extensions): ([UInt8], Int) = ([], 0)
        while true {
            let line = try line(max: 1_024, else: 400, countsEnd: false)
            let digits = line.prefix { Self.hexDigits.contains($0) }
            let rest = Self.trim(line.dropFirst(digits.count))
            guard !digits.isEmpty, digits.count <= 15,
                let size = Int(String(decoding: digits, as: UTF8.self), radix: 16),
                rest.isEmpty || rest.first == UInt8(ascii: ";"), rest.allSatisfy({ $0 == 9 || $0 > 31 && $0 != 127 })
            else { throw Fault(400) }
            extensions += line.count - digits.count
            guard extensions <= limits.fieldBytesMax else { throw Fault(400) }
            if size == 0 { break }
            guard body.count + size <= limits.bodyBytesMax else { throw Fault(413) }
            guard self.rest.count >= size else { throw Incomplete() }
            body += self.rest.prefix(size)
            self.rest.removeFirst(size)
            if let first = self.rest.first, first != 13 { throw Fault(400) }
            guard self.rest.count >= 2 else { throw Incomplete() }
            guard self.rest[1] == 10 else { throw Fault(400) }
            self.rest.removeFirst(2)
        }
        var (bytes, count) = (0, 0)
        while true {
            let line = try line(max: limits.fieldBytesMax - bytes, else: 431)
            bytes += line.count + 2
            if line.isEmpty { return body }
            count += 1
            if count > limits.fieldsMax { throw Fault(431) }
            _ = try field(line)
        }
    }

    private func field(_ line: [UInt8]) throws -> Field {
        let name = line.prefix { Self.tokens.contains($0) }
        guard !name.isEmpty, name.count < line.count, line[name.count] == UInt8(ascii: ":") else { throw Fault(400) }
        let value = Self.trim(line.dropFirst(name.count + 1))
        guard value.allSatisfy({ $0 == 9 || $0 > 31 && $0 != 127 }) else { throw Fault(400) }
        return Field(name: Self.lower(Array(name)), value: value)
    }

    /// A line without CRLF.
    ///
    /// - Parameter max: of its bytes including the CR and, with `countsEnd`, the LF.
    private mutating func line(max: Int, else status: Int, countsEnd: Bool = true) throws -> [UInt8] {
        guard let end = rest.firstIndex(of: 10) else {
            if rest.count > max { throw Fault(status) }
            throw Incomplete()
        }
        if end + (countsEnd ? 1 : 0) > max { throw Fault(status) }
        guard end > 0, rest[end - 1] == 13 else { throw Fault(400) }
        let line = Array(rest[..<(end - 1)])
        rest.removeFirst(end + 1)
        return line
    }

    private static func trim(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
        Array(bytes.drop { $0 == 32 || $0 == 9 }.reversed().drop { $0 == 32 || $0 == 9 }.reversed())
    }

    /// ASCII only: other letters are not those of a name.
    private static func lower(_ bytes: [UInt8]) -> String {
        String(decoding: bytes.map { (65...90).contains($0) ? $0 + 32 : $0 }, as: UTF8.self)
    }
}
