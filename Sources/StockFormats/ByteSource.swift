import Foundation
import StockModel

/// Bytes of a file, a pipe or standard input, in bounded memory.
public struct ByteSource {
    private let descriptor: Int32
    private let chunkBytes: Int
    private let interruptDescriptor: Int32?

    /// - Parameter interruptDescriptor: once it is readable, reading throws `InputInterrupted`, also while it waits for
    ///   input.
    public init(descriptor: Int32, chunkBytes: Int = 1 << 18, interruptDescriptor: Int32? = nil) {
        self.descriptor = descriptor
        self.chunkBytes = chunkBytes
        self.interruptDescriptor = interruptDescriptor
    }

    /// The offset at which reading continues; nil where the input cannot be read twice.
    package var position: off_t? {
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
        let position = lseek(descriptor, 0, SEEK_CUR)
        return position < 0 ? nil : position
    }

    /// Continues reading at an offset where it was before.
    package func goBack(to position: off_t) throws(ValidationError) {
        if lseek(descriptor, position, SEEK_SET) < 0 {
            throw ValidationError("cannot read from the beginning again: \(String(cString: strerror(errno)))")
        }
    }

    /// Appends the next bytes.
    ///
    /// - Returns: false at the end of the input.
    package func read(into buffer: inout [UInt8]) throws -> Bool {
        try waitForInput()
        let start = buffer.count
        buffer.append(contentsOf: repeatElement(0, count: chunkBytes))
        while true {
            let count = buffer.withUnsafeMutableBytes {
                Foundation.read(descriptor, $0.baseAddress! + start, chunkBytes)
            }
            if count < 0 && errno == EINTR { continue }
            if count < 0 {
                buffer.removeLast(chunkBytes)
                throw ValidationError("cannot read the input: \(String(cString: strerror(errno)))")
            }
            buffer.removeLast(chunkBytes - count)
            return count > 0
        }
    }

    private func waitForInput() throws(InputInterrupted) {
        guard let interruptDescriptor else { return }
        var both = [
            pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
            pollfd(fd: interruptDescriptor, events: Int16(POLLIN), revents: 0),
        ]
        while poll(&both, 2, -1) < 0 && errno == EINTR {}
        if both[1].revents != 0 { throw InputInterrupted() }
    }
}

/// Reading ended because the program was asked to stop. What was not committed is rolled back.
public struct InputInterrupted: Error, Sendable, Hashable, CustomStringConvertible {
    public init() {}

    public var description: String { "reading the input was interrupted" }
}
