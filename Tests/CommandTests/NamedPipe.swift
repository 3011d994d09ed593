import Foundation
import Testing

/// A pipe that an import reads; the input does not end while it is open.
final class NamedPipe {
    let path = NSTemporaryDirectory() + "stockq-pipe-\(UUID().uuidString)"
    private let handle: FileHandle

    init() throws {
        guard mkfifo(path, 0o600) == 0 else { throw POSIXError(.init(rawValue: errno) ?? .EIO) }
        handle = try #require(FileHandle(forUpdatingAtPath: path))
    }

    func write(_ text: String) throws { try handle.write(contentsOf: Data(text.utf8)) }

    /// Bytes that were written and not read yet.
    var unreadBytes: Int {
        var count: Int32 = 0
        return ioctl(handle.fileDescriptor, UInt(FIONREAD), &count) == 0 ? Int(count) : -1
    }

    func close() {
        try? handle.close()
        try? FileManager.default.removeItem(atPath: path)
    }
}
