/// The limits of a request's parts.
package struct ParserLimits: Sendable, Equatable {
    /// Bytes of the request line; more is answered with 414.
    package var requestLineBytesMax = 8_192
    /// Bytes of all header lines, and of all trailer lines; more is answered with 431.
    package var fieldBytesMax = 16_384
    /// Header lines, and trailer lines; more is answered with 431.
    package var fieldsMax = 100
    /// Bytes of a decoded body; more is answered with 413. The application can lower or raise it for a request.
    package var bodyBytesMax = 1 << 20

    package init() {}
}
