/// Why a request is not answered by the application: its bytes break a rule of RFC 9110 or RFC 9112, a limit is exceeded,
/// or time is up. The connection is closed after the answer, because where the next request begins is not known.
package struct RequestFault: Error, Sendable, Equatable {
    package let status: HTTPStatus
    /// One sentence for the client.
    package let reason: String

    /// A fault with a status of the server's choice.
    package init(_ status: HTTPStatus, _ reason: String) {
        self.status = status
        self.reason = reason
    }

    private static func bad(_ reason: String) -> RequestFault { RequestFault(.badRequest, reason) }
}

// The request line.
extension RequestFault {
    static let methodInvalid = bad("The request line does not begin with a method.")
    static let methodTooLong = RequestFault(.notImplemented, "The method is not known.")
    static let requestLineTooLong = RequestFault(.uriTooLong, "The request line is too long.")
    static let requestLineMalformed = bad("The request line is not METHOD TARGET VERSION with single spaces.")
    static let targetInvalid = bad("The request target has a byte that a URI cannot have.")
    static let targetFormInvalid = bad("The request target is neither a path nor an http URI.")
    static let versionUnsupported = RequestFault(.versionNotSupported, "The server speaks HTTP/1.1 and HTTP/1.0.")
    static let emptyLines = bad("There are too many empty lines before the request line.")
}

// The fields.
extension RequestFault {
    static let bareLineFeed = bad("A line ends with LF alone; lines end with CRLF.")
    static let fieldsTooLarge = RequestFault(.fieldsTooLarge, "The header is too large.")
    static let tooManyFields = RequestFault(.fieldsTooLarge, "The header has too many fields.")
    static let foldedField = bad("A header line begins with a blank; folded lines are obsolete.")
    static let fieldNameInvalid = bad("A header line does not begin with a field name and a colon.")
    static let fieldValueInvalid = bad("A header field has a control character.")
    static let hostMissing = bad("The Host field is missing.")
    static let hostRepeated = bad("There is more than one Host field.")
    static let hostInvalid = bad("The Host field is not a host with an optional port.")
    static let expectationUnknown = RequestFault(
        .expectationFailed, "The server knows the expectation 100-continue only.")
}

// The framing of the body.
extension RequestFault {
    static let lengthInvalid = bad("The Content-Length is not a decimal number.")
    static let lengthRepeated = bad("There is more than one Content-Length.")
    static let lengthAndCoding = bad("There are both Content-Length and Transfer-Encoding.")
    static let codingInVersion10 = bad("HTTP/1.0 has no Transfer-Encoding.")
    static let codingNotChunked = bad("The last transfer coding is not chunked, or chunked is there twice.")
    static let codingUnknown = RequestFault(.notImplemented, "The server knows the transfer coding chunked only.")
    static func bodyTooLarge(max: Int) -> RequestFault {
        RequestFault(.contentTooLarge, "The body is too large; at most \(max) bytes are allowed.")
    }
    static let chunkInvalid = bad("A chunk does not begin with its size in hexadecimal digits.")
    static let chunkLineTooLong = bad("The extensions of the chunks are too long.")
    static let chunkEndInvalid = bad("A chunk does not end with CRLF.")
    static let bodyIncomplete = bad("The connection ended before the request did.")
}

// Time and load.
extension RequestFault {
    static let headTimeout = RequestFault(.requestTimeout, "The header did not arrive in time.")
    static let bodyTimeout = RequestFault(.requestTimeout, "The body did not arrive in time.")
    static let tooManyConnections = RequestFault(.serviceUnavailable, "The server has too many connections.")
    static let tooManyRequests = RequestFault(.serviceUnavailable, "The server has too many requests under way.")
    static let bodiesTooLarge = RequestFault(.serviceUnavailable, "The server has too many bodies in memory.")
    static let shuttingDown = RequestFault(.serviceUnavailable, "The server is shutting down.")
}
