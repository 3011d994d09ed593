/// What an administrator decides about the vendors' calls.
package struct VendorSettings: Sendable, Hashable {
    /// Milliseconds in which the jobs of a call must be decided. The shortest limit of a client is 20 s.
    package var deadlineMs = 15_000
    /// Whether Ecwid's calls accept `?token=`, which three of its clients send and the vendor itself has disabled.
    package var acceptsEcwidQueryTokens = true
    /// Lines of one call.
    package var linesMax = 500
    /// Bytes of the body of a call with several lines.
    package var bodyBytesMax = 1 << 20

    package init() {}
}
