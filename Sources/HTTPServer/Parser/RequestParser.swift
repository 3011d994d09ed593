/// Reads the requests of one connection: bytes in, steps out. It does no input or output and keeps no bytes.
///
/// The caller passes all bytes that are not consumed yet, and the position of the first of them. A head is consumed when
/// it is complete, a body piece by piece. What the steps amount to does not depend on where the bytes are cut.
package struct RequestParser {
    package enum Step: Equatable {
        /// Nothing more can be said about these bytes.
        case needsBytes
        /// `head` is complete; its positions count from the first byte of the request line, at `headStart`.
        case head
        /// A piece of the body, as positions in the bytes that were passed.
        case body(Range<Int>)
        /// The request is complete, including trailers, which are checked and dropped.
        case end
        /// The request has a fault. The parser stays at it.
        case fault(RequestFault)
    }

    package enum Phase: Equatable {
        case requestLine, fields, bodyStart, length, chunkLine, chunkData, chunkEnd, trailers, end
        case failed(RequestFault)
    }

    /// Can change between the steps `head` and `end`, for the body that follows.
    package var limits: ParserLimits
    package private(set) var phase = Phase.requestLine
    package var head = ParsedHead()
    /// The position of the last head in the bytes that were passed with it.
    package private(set) var headStart = 0
    var facts = HeadFacts()

    // Positions from the first byte that is not consumed.
    private var lineStart = 0
    private var scanned = 0
    private var fieldsStart = 0
    private var emptyLines = 0
    // Of the body.
    private var bytesMissing = 0
    private var bodyBytes = 0
    private var extensionBytes = 0
    private var trailerBytes = 0
    private var trailers = 0

    private static let emptyLinesMax = 4
    private static let chunkLineBytesMax = 1_024

    package init(limits: ParserLimits) { self.limits = limits }

    /// Whether a request has begun and is not complete.
    package var isInRequest: Bool { phase != .requestLine || scanned > 0 }

    /// Whether the head of the present request is complete.
    package var isPastHead: Bool { phase != .requestLine && phase != .fields }

    /// - Parameter position: the first byte of `bytes` that is not consumed; moved past what this step consumed.
    package mutating func next(_ bytes: RawSpan, _ position: inout Int) -> Step {
        do throws(RequestFault) {
            while true {
                switch phase {
                case .requestLine, .fields: return try nextLine(bytes, &position) ? .head : .needsBytes
                case .bodyStart: try beginBody()
                case .length: return takePiece(bytes, &position, then: .end)
                case .chunkLine: if try !readChunkLine(bytes, &position) { return .needsBytes }
                case .chunkData: return takePiece(bytes, &position, then: .chunkEnd)
                case .chunkEnd: if try !readChunkEnd(bytes, &position) { return .needsBytes }
                case .trailers: if try !readTrailer(bytes, &position) { return .needsBytes }
                case .end:
                    begin(.requestLine)
                    return .end
                case .failed(let fault): return .fault(fault)
                }
            }
        } catch {
            phase = .failed(error)
            return .fault(error)
        }
    }

    private mutating func begin(_ next: Phase) {
        phase = next
        (lineStart, scanned) = (0, 0)
    }

    // MARK: head

    /// - Returns: whether the head is complete.
    private mutating func nextLine(_ bytes: RawSpan, _ position: inout Int) throws(RequestFault) -> Bool {
        while true {
            if phase == .fields, scanned == lineStart, let line = Self.fieldLine(bytes, from: position + lineStart) {
                scanned = line.end - position
                guard scanned - fieldsStart <= limits.fieldBytesMax else { throw .fieldsTooLarge }
                try readHeaderField(bytes, line.field, base: position)
                lineStart = scanned
                continue
            }
            guard let end = bytes.firstIndex(of: .lineFeed, from: position + scanned) else { break }
            scanned = end + 1 - position
            let line = position + lineStart..<end
            if phase == .requestLine {
                if end == line.lowerBound + 1, bytes[line.lowerBound] == .carriageReturn {
                    try skipEmptyLine(&position)
                    continue
                }
                head.reset()
                facts = HeadFacts()
                try readRequestLine(bytes, line, base: position)
                phase = .fields
                fieldsStart = scanned
            } else {
                guard scanned - fieldsStart <= limits.fieldBytesMax else { throw .fieldsTooLarge }
                let content = try Self.content(of: line, bytes)
                if content.isEmpty {
                    try completeHead(bytes, base: position)
                    headStart = position
                    position += scanned
                    begin(.bodyStart)
                    return true
                }
                try readHeaderLine(bytes, content, base: position)
            }
            lineStart = scanned
        }
        scanned = bytes.byteCount - position
        try checkPartialLine(bytes, position)
        return false
    }

    /// Clients were seen to send an empty line after a body (RFC 9112, 2.2).
    private mutating func skipEmptyLine(_ position: inout Int) throws(RequestFault) {
        emptyLines += 1
        guard emptyLines <= Self.emptyLinesMax else { throw .emptyLines }
        position += scanned
        begin(.requestLine)
    }

    /// A line that is not complete is checked as far as it goes, so that what is no HTTP is answered at once, and no line
    /// grows beyond its limit.
    private mutating func checkPartialLine(_ bytes: RawSpan, _ position: Int) throws(RequestFault) {
        let line = position + lineStart..<bytes.byteCount
        guard !line.isEmpty else { return }
        if phase == .requestLine {
            if bytes[line.lowerBound] == .carriageReturn {
                if line.count > 1 { throw .methodInvalid }
                return
            }
            _ = try methodEnd(bytes, line)
            guard line.count <= limits.requestLineBytesMax else { throw .requestLineTooLong }
        } else {
            guard scanned - fieldsStart <= limits.fieldBytesMax else { throw .fieldsTooLarge }
        }
    }

    /// The line without its CR.
    static func content(of line: Range<Int>, _ bytes: RawSpan) throws(RequestFault) -> Range<Int> {
        guard !line.isEmpty, bytes[line.upperBound - 1] == .carriageReturn else { throw .bareLineFeed }
        return line.lowerBound..<line.upperBound - 1
    }

    // MARK: body

    private mutating func beginBody() throws(RequestFault) {
        (emptyLines, bodyBytes, extensionBytes, trailerBytes, trailers) = (0, 0, 0, 0, 0)
        switch head.framing {
        case .none: begin(.end)
        case .length(let count):
            guard count <= limits.bodyBytesMax else { throw .bodyTooLarge(max: limits.bodyBytesMax) }
            bytesMissing = count
            begin(count > 0 ? .length : .end)
        case .chunked: begin(.chunkLine)
        }
    }

    private mutating func takePiece(_ bytes: RawSpan, _ position: inout Int, then next: Phase) -> Step {
        let count = min(bytesMissing, bytes.byteCount - position)
        guard count > 0 else { return .needsBytes }
        let piece = position..<position + count
        position += count
        bytesMissing -= count
        if bytesMissing == 0 { begin(next) }
        return .body(piece)
    }

    /// - Returns: whether the line was complete, as the functions below.
    private mutating func readChunkLine(_ bytes: RawSpan, _ position: inout Int) throws(RequestFault) -> Bool {
        guard let end = bytes.firstIndex(of: .lineFeed, from: position + scanned) else {
            scanned = bytes.byteCount - position
            guard scanned <= Self.chunkLineBytesMax else { throw .chunkLineTooLong }
            return false
        }
        guard end - position <= Self.chunkLineBytesMax else { throw .chunkLineTooLong }
        let line = try Self.content(of: position..<end, bytes)
        let size = try chunkSize(bytes, line)
        position = end + 1
        if size == 0 {
            begin(.trailers)
        } else {
            guard size <= limits.bodyBytesMax - bodyBytes else { throw .bodyTooLarge(max: limits.bodyBytesMax) }
            bodyBytes += size
            bytesMissing = size
            begin(.chunkData)
        }
        return true
    }

    /// Up to 15 digits: the size cannot overflow.
    private mutating func chunkSize(_ bytes: RawSpan, _ line: Range<Int>) throws(RequestFault) -> Int {
        var (size, index) = (0, line.lowerBound)
        while index < line.upperBound, index - line.lowerBound < 15, let digit = bytes[index].hexValue {
            size = size << 4 | Int(digit)
            index += 1
        }
        guard index > line.lowerBound else { throw .chunkInvalid }
        let rest = bytes.trimmed(index..<line.upperBound)
        if !rest.isEmpty {
            guard bytes[rest.lowerBound] == UInt8(ascii: ";"), bytes.isFieldText(rest) else { throw .chunkInvalid }
        }
        extensionBytes += line.upperBound - index
        guard extensionBytes <= limits.fieldBytesMax else { throw .chunkLineTooLong }
        return size
    }

    private mutating func readChunkEnd(_ bytes: RawSpan, _ position: inout Int) throws(RequestFault) -> Bool {
        let count = bytes.byteCount - position
        if count >= 1, bytes[position] != .carriageReturn { throw .chunkEndInvalid }
        guard count >= 2 else { return false }
        guard bytes[position + 1] == .lineFeed else { throw .chunkEndInvalid }
        position += 2
        begin(.chunkLine)
        return true
    }

    private mutating func readTrailer(_ bytes: RawSpan, _ position: inout Int) throws(RequestFault) -> Bool {
        guard let end = bytes.firstIndex(of: .lineFeed, from: position + scanned) else {
            scanned = bytes.byteCount - position
            guard trailerBytes + scanned <= limits.fieldBytesMax else { throw .fieldsTooLarge }
            return false
        }
        trailerBytes += end + 1 - position
        guard trailerBytes <= limits.fieldBytesMax else { throw .fieldsTooLarge }
        let line = try Self.content(of: position..<end, bytes)
        position = end + 1
        if line.isEmpty {
            begin(.end)
        } else {
            trailers += 1
            guard trailers <= limits.fieldsMax else { throw .tooManyFields }
            _ = try Self.field(bytes, line)
            (lineStart, scanned) = (0, 0)
        }
        return true
    }
}
