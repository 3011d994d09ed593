/// A conformance case of the vendors' calls: a request as its client sends it, and what must come of it.
struct VendorCase: Sendable {
    /// The case's number, and what is special if the number has several requests.
    var number: String
    var request: String
    var status: Int
    /// Parts of the answer's body. One that begins with `{` and ends with `}` is the whole body.
    var parts: [String]
    /// Lines that the answer's head must have.
    var fields: [String]
    /// By how much the summed on_hand and allocated of the store change.
    var change: Int64
    var allocated: Int64

    init(
        _ number: String, _ request: String, _ status: Int, _ parts: String..., fields: [String] = [],
        change: Int64 = 0, allocated: Int64 = 0
    ) {
        self.number = number
        self.request = request
        self.status = status
        self.parts = parts
        self.fields = fields
        self.change = change
        self.allocated = allocated
    }

    /// The bytes of a request.
    ///
    /// - Parameters:
    ///   - fields: without `Host` and `Content-Length`.
    ///   - body: nil for a request without one.
    static func request(_ method: String, _ target: String, _ fields: [String] = [], _ body: String? = nil) -> String {
        let length = body.map { ["Content-Length: \($0.utf8.count)"] } ?? []
        return (["\(method) \(target) HTTP/1.1", "Host: shop.example"] + fields + length).joined(separator: "\r\n")
            + "\r\n\r\n" + (body ?? "")
    }

    static func chunked(_ method: String, _ target: String, _ fields: [String], _ body: String) -> String {
        request(method, target, fields + ["Transfer-Encoding: chunked"])
            + "\(String(body.utf8.count, radix: 16))\r\n\(body)\r\n0\r\n\r\n"
    }
}
