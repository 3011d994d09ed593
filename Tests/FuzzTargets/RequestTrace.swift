import HTTPServer

/// What a parser reads in a sequence of bytes: the requests that are complete, then how it ends.
package struct RequestTrace: Equatable, CustomStringConvertible {
    package struct Message: Equatable {
        package var method = ""
        package var target = ""
        package var path = ""
        package var query: String?
        package var authority: String?
        package var fields: [String] = []
        package var body: [UInt8] = []
        package var keepsAlive = true
        package var expectsContinue = false
    }

    package enum End: Equatable {
        /// Between two requests, or within one.
        case needsBytes
        /// The status of the fault.
        case fault(Int)
    }

    package var messages: [Message] = []
    package var end = End.needsBytes

    package var description: String { "\(messages) \(end)" }

    package init() {}

    /// - Parameter pieces: the sizes of the pieces in which the bytes arrive; the last size is used again and again.
    package init(parsing bytes: [UInt8], limits: ParserLimits, pieces: [Int]) {
        var parser = RequestParser(limits: limits)
        var (buffer, next, message): ([UInt8], Int, Message?) = ([], 0, nil)
        var sizes = pieces[...]
        while next < bytes.count {
            let size = max(1, sizes.count > 1 ? sizes.removeFirst() : sizes.first ?? bytes.count)
            buffer += bytes[next..<min(bytes.count, next + size)]
            next = min(bytes.count, next + size)
            var position = 0
            steps: while true {
                switch parser.next(buffer.span.bytes, &position) {
                case .needsBytes: break steps
                case .head: message = Message(parser.head, buffer[parser.headStart...])
                case .body(let range): message?.body += buffer[range]
                case .end:
                    if let message { messages.append(message) }
                    message = nil
                case .fault(let fault):
                    end = .fault(fault.status.code)
                    return
                }
            }
            buffer.removeFirst(position)
        }
    }
}

extension RequestTrace.Message {
    fileprivate init(_ head: ParsedHead, _ bytes: ArraySlice<UInt8>) {
        let base = bytes.startIndex
        func text(_ range: Range<Int>) -> String {
            String(decoding: bytes[base + range.lowerBound..<base + range.upperBound], as: UTF8.self)
        }
        method = head.method.description
        target = text(head.target)
        path = text(head.path)
        query = head.query.map(text)
        authority = head.authority.map(text)
        fields = head.fields.map { "\(text($0.name)): \(text($0.value))" }
        keepsAlive = head.keepsAlive
        expectsContinue = head.expectsContinue
    }
}
