import HTTPServer

/// What the fields of a head say about the body.
extension RequestHead {
    /// Type and subtype in lower case, without parameters; nil without a `Content-Type`, empty for several.
    var mediaType: String? {
        let values = fields(named: "content-type")
        guard let value = values.first else { return nil }
        guard values.count == 1 else { return "" }
        let (space, tab) = (UInt8(ascii: " "), UInt8(ascii: "\t"))
        let type = value.utf8.prefix { $0 != UInt8(ascii: ";") }.filter { $0 != space && $0 != tab }
        return String(decoding: type, as: UTF8.self).lowercased()
    }

    /// Throws for a compressed body.
    func requirePlainBody() throws(HTTPFailure) {
        guard let coding = field("content-encoding")?.lowercased(), !coding.isEmpty, coding != "identity" else {
            return
        }
        throw HTTPFailure(
            .unsupportedMediaType, "The body must not be compressed.",
            fields: ResponseFields().adding("Accept-Encoding", "identity"))
    }
}

extension ResponseFields {
    /// `Retry-After` as a number of seconds from 1 to 60: a client was seen to crash on a date, and to give up above
    /// 60.
    mutating func addRetryAfter(_ seconds: Int) { add("Retry-After", String(min(max(seconds, 1), 60))) }
}
