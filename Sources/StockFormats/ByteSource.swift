import Foundation
import StockModel

/// Bytes of a file, a pipe or standard input, in bounded memory.
public struct ByteSource {
    private let descriptor: Int32
    private let chunkBytes: Int
    private let interruptDescriptor: Int32?
    /// Is called with the bytes as they are read.
    package var onRead: ((ArraySlice<UInt8>) -> Void)?

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

    package enum Reading {
        case bytes, end
        /// The time came first.
        case notYet
    }

    /// Appends the next bytes.
    ///
    /// - Parameter time: when to give up waiting for input; nil for never. Once it has passed nothing is read, even if
    ///   there is input, so that a caller with something to do comes to it.
    package func read(into buffer: inout [UInt8], until time: ContinuousClock.Instant? = nil) throws -> Reading {
        if try !waitForInput(until: time) { return .notYet }
        var failure: Int32?
        let chunk = [UInt8](unsafeUninitializedCapacity: chunkBytes) { bytes, taken in
            var count = 0
            repeat {
                count = Foundation.read(descriptor, bytes.baseAddress, chunkBytes)
            } while count < 0 && errno == EINTR
            if count < 0 { failure = errno }
            taken = max(0, count)
        }
        if let failure { throw ValidationError("cannot read the input: \(String(cString: strerror(failure)))") }
        onRead?(chunk[...])
        buffer.append(contentsOf: chunk)
        return chunk.isEmpty ? .end : .bytes
    }

    /// - Returns: false when the time has passed.
    private func waitForInput(until time: ContinuousClock.Instant?) throws(InputInterrupted) -> Bool {
        if interruptDescriptor == nil && time == nil { return true }
        while true {
            var waitMs = -1
            if let time {
                let rest = ContinuousClock.now.duration(to: time) / .milliseconds(1)
                if rest <= 0 { return false }
                waitMs = Int(min(rest.rounded(.up), 1e9))
            }
            // poll(2) ignores a negative descriptor.
            var both = [
                pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
                pollfd(fd: interruptDescriptor ?? -1, events: Int16(POLLIN), revents: 0),
            ]
            let ready = poll(&both, 2, Int32(waitMs))
            if both[1].revents != 0 && ready > 0 { throw InputInterrupted() }
            if ready > 0 || ready < 0 && errno != EINTR { return true }
        }
    }
}

/// Reading ended because the program was asked to stop. What was not committed is rolled back.
public struct InputInterrupted: Error, Sendable, Hashable, CustomStringConvertible {
    public init() {}

    public var description: String { "reading the input was interrupted" }
}
