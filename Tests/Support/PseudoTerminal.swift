import Foundation

/// A terminal with a number of columns, and what is written to it.
public final class PseudoTerminal {
    public let path: String
    private let primary: Int32
    /// Kept open, so that what is written stays to be read.
    private let secondary: Int32

    public init(columns: UInt16) throws {
        var ends: (primary: Int32, secondary: Int32) = (-1, -1)
        var size = winsize(ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0)
        guard openpty(&ends.primary, &ends.secondary, nil, nil, &size) == 0 else {
            throw POSIXError(.init(rawValue: errno) ?? .EIO)
        }
        (primary, secondary) = ends
        path = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\(secondary)")
    }

    deinit {
        close(primary)
        close(secondary)
    }

    /// Types a line, as the answer to a question.
    public func enter(_ line: String) {
        let bytes = Array((line + "\n").utf8)
        _ = Foundation.write(primary, bytes, bytes.count)
    }

    /// What has been written so far, with the line breaks of a file.
    public func read() -> String {
        var all: [UInt8] = []
        var bytes = [UInt8](repeating: 0, count: 1 << 16)
        var ready = pollfd(fd: primary, events: Int16(POLLIN), revents: 0)
        while poll(&ready, 1, 0) > 0 {
            let count = Foundation.read(primary, &bytes, bytes.count)
            if count <= 0 { break }
            all += bytes[..<count]
        }
        return String(decoding: all, as: UTF8.self).replacingOccurrences(of: "\r\n", with: "\n")
    }
}
