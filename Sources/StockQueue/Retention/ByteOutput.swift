import Foundation

/// What went wrong with a file that was to be written.
package struct OutputError: Error, CustomStringConvertible {
    package let description: String
    /// The reader of a pipe closed it.
    package let isBrokenPipe: Bool

    init(_ action: String) {
        let problem = errno
        description = "\(action): \(String(cString: strerror(problem)))"
        isBrokenPipe = problem == EPIPE
    }
}

/// Bytes on their way to a file or a pipe, a block at a time.
package struct ByteOutput {
    private let descriptor: Int32
    /// For messages.
    private let name: String
    private var buffer: [UInt8] = []

    private static let blockBytes = 1 << 16

    package init(descriptor: Int32, name: String) {
        (self.descriptor, self.name) = (descriptor, name)
        buffer.reserveCapacity(2 * Self.blockBytes)
    }

    package mutating func write(_ bytes: some Collection<UInt8>) throws(OutputError) {
        buffer.append(contentsOf: bytes)
        if buffer.count >= Self.blockBytes { try flush() }
    }

    package mutating func flush() throws(OutputError) {
        var start = 0
        while start < buffer.count {
            let written = buffer.withUnsafeBytes { bytes in
                Foundation.write(descriptor, bytes.baseAddress! + start, bytes.count - start)
            }
            if written < 0 && errno == EINTR { continue }
            if written < 0 { throw OutputError("cannot write \(name)") }
            start += written
        }
        buffer.removeAll(keepingCapacity: true)
    }
}
