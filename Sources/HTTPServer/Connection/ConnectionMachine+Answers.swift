// Answers: in the order of the requests, as bytes.
extension ConnectionMachine {
    /// Answers a request. The bytes follow when those before it are answered.
    package mutating func answer(_ sequence: UInt64, _ response: Response, _ moment: borrowing Moment) {
        guard let index = entries.firstIndex(where: { $0.sequence == sequence }) else { return }
        entries[index].state = .ready(response)
        if index == 0 { writeReady(moment) }
    }

    /// Begins an answer whose body comes in pieces.
    package mutating func stream(_ sequence: UInt64, _ response: Response, _ moment: borrowing Moment) {
        guard let index = entries.firstIndex(where: { $0.sequence == sequence }) else { return }
        entries[index].state = .streaming(response, hasBegun: false)
        if index == 0 { writeReady(moment) }
    }

    /// The streamed answer that can take bytes now.
    package var openStream: UInt64? {
        guard let first = entries.first, case .streaming(_, hasBegun: true) = first.state else { return nil }
        return output.count <= settings.outputBytesMax && closing == nil ? first.sequence : nil
    }

    /// A piece of the body of `openStream`.
    package mutating func write(_ piece: [UInt8]) {
        guard let first = entries.first, !piece.isEmpty else { return }
        if first.minorVersion == 0 { return output.append(piece) }
        output.append(Array(String(piece.count, radix: 16).utf8))
        output.appendLineEnd()
        output.append(piece)
        output.appendLineEnd()
    }

    /// Ends the body of the first answer, a streamed one.
    ///
    /// - Parameter isComplete: otherwise the client must see that something is missing.
    package mutating func endStream(isComplete: Bool, _ moment: borrowing Moment) {
        guard let first = entries.first else { return }
        guard isComplete else {
            (reading, closing) = (.finished, .abort)
            entries.removeAll()
            return
        }
        if first.minorVersion == 1 { output.append(Self.lastChunk) }
        removeFirst(closes: !first.keepsAlive || isLastWhileDraining)
        writeReady(moment)
    }

    private static let lastChunk = Array("0\r\n\r\n".utf8)

    private mutating func writeReady(_ moment: borrowing Moment) {
        while let first = entries.first {
            switch first.state {
            case .waiting: return
            case .streaming(let response, let hasBegun):
                if !hasBegun { beginStream(first, response, moment) }
                return
            case .ready(let response):
                let closes = !first.keepsAlive || isLastWhileDraining
                writeHead(first, response, length: response.body.count, closes: closes, moment)
                if !first.isHead, !response.status.hasNoBody { output.append(response.body) }
                removeFirst(closes: closes)
            }
        }
        closeIfDone()
    }

    private mutating func beginStream(_ entry: Entry, _ response: Response, _ moment: borrowing Moment) {
        let closes = !entry.keepsAlive || entry.minorVersion == 0 || isLastWhileDraining
        writeHead(entry, response, length: nil, closes: closes, moment)
        if entry.isHead || response.status.hasNoBody {
            removeFirst(closes: closes)
            writeReady(moment)
        } else {
            entries[0].state = .streaming(response, hasBegun: true)
            if closes { entries[0].keepsAlive = false }
        }
    }

    /// The last answer during a shutdown says so; what the client sent behind it was not processed.
    private var isLastWhileDraining: Bool { isDraining && entries.count == 1 }

    private mutating func removeFirst(closes: Bool) {
        entries.removeFirst()
        guard closes else { return }
        entries.removeAll()
        // A body that is being read belongs to a request that has its answer.
        reading = .finished
        closeIfDone()
    }

    /// - Parameter length: of the body; nil for a streamed one.
    private mutating func writeHead(
        _ entry: Entry, _ response: Response, length: Int?, closes: Bool, _ moment: borrowing Moment
    ) {
        output.append("HTTP/1.1 ")
        output.append(decimal: response.status.code)
        output.append(" ")
        output.append(response.status.reasonPhrase)
        output.append("\r\n")
        output.append(moment.dateLine)
        output.append(response.fields.bytes)
        if !response.status.hasNoBody {
            if let length {
                output.append("Content-Length: ")
                output.append(decimal: length)
                output.append("\r\n")
            } else if entry.minorVersion == 1 {
                output.append("Transfer-Encoding: chunked\r\n")
            }
        }
        if closes {
            output.append("Connection: close\r\n\r\n")
        } else {
            if entry.minorVersion == 0 { output.append("Connection: keep-alive\r\n") }
            output.append("Keep-Alive: timeout=")
            output.append(decimal: settings.idleMs / 1_000)
            output.append("\r\n\r\n")
        }
    }
}

/// Bytes that wait to be sent.
package struct OutputBuffer {
    private var bytes: [UInt8] = []
    private var sent = 0

    /// Enough for most answers, and small enough that the allocator has such blocks at hand.
    private static let firstCapacity = 480

    package var isEmpty: Bool { sent == bytes.count }
    package var count: Int { bytes.count - sent }

    /// Calls `body` with the bytes that are not sent yet.
    package func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        bytes.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[sent...])) }
    }

    /// Removes bytes that were sent. An idle connection keeps no memory for its output.
    package mutating func remove(_ count: Int) {
        sent += count
        if sent == bytes.count { (bytes, sent) = ([], 0) }
    }

    mutating func append(_ more: [UInt8]) {
        if bytes.isEmpty { bytes.reserveCapacity(more.count + 512) }
        if sent > 1 << 20 {
            bytes.removeFirst(sent)
            sent = 0
        }
        bytes.append(contentsOf: more)
    }

    mutating func append(_ text: StaticString) {
        if bytes.isEmpty { bytes.reserveCapacity(Self.firstCapacity) }
        text.withUTF8Buffer { bytes.append(contentsOf: $0) }
    }

    mutating func appendLineEnd() { append("\r\n") }

    mutating func append(decimal number: Int) {
        var (rest, scale) = (number, 1)
        while scale <= number / 10 { scale *= 10 }
        while scale > 0 {
            bytes.append(UInt8(ascii: "0") + UInt8(rest / scale))
            rest %= scale
            scale /= 10
        }
    }
}
