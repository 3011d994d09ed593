import Foundation
import StockQueueLocking

/// Tells the threads of a pool to stop, in two steps: `finish` lets the batch at hand end, `abort` breaks it off.
///
/// Each step makes a pipe readable for good, so that a thread can wait for it in `poll` beside its socket.
public final class StopSignal: Sendable {
    private let finishPipe = WakePipe()
    private let abortPipe = WakePipe()
    private let level = Mutex(0)

    public init() {}

    /// Claim nothing more.
    public func finish() {
        level.withLock { $0 = max($0, 1) }
        finishPipe.wake()
    }

    /// Break off and roll back.
    public func abort() {
        level.withLock { $0 = 2 }
        finishPipe.wake()
        abortPipe.wake()
    }

    public var isFinishing: Bool { level.withLock { $0 > 0 } }

    var abortDescriptor: Int32 { abortPipe.descriptor }

    /// Waits for `finish` or until the time is over.
    ///
    /// - Returns: true when the pool is to stop.
    public func wait(milliseconds: Int) -> Bool {
        finishPipe.wait(milliseconds: milliseconds)
        return isFinishing
    }
}

/// A pipe that ends a `poll` of another thread.
final class WakePipe: Sendable {
    /// Readable once promoted.
    let descriptor: Int32
    private let writeEnd: Int32

    init() {
        var ends: [Int32] = [-1, -1]
        let made = pipe(&ends)
        precondition(made == 0, "pipe: \(String(cString: strerror(errno)))")
        for end in ends {
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
        }
        descriptor = ends[0]
        writeEnd = ends[1]
    }

    deinit {
        close(descriptor)
        close(writeEnd)
    }

    /// A full pipe is as awake as it gets, so a failed write says nothing new.
    func wake() {
        var byte: UInt8 = 1
        _ = write(writeEnd, &byte, 1)
    }

    /// Takes the wake-ups back that came so far.
    func clear() {
        var bytes = [UInt8](repeating: 0, count: 256)
        while read(descriptor, &bytes, bytes.count) > 0 {}
    }

    func wait(milliseconds: Int) {
        var descriptors = [pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)]
        _ = poll(&descriptors, 1, Int32(clamping: milliseconds))
    }
}
