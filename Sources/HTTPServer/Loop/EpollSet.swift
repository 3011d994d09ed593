import CLinux
import Glibc

/// The descriptors that a loop waits for. Each has a tag that its events carry.
final class EpollSet {
    private let descriptor: Int32
    private var events = [epoll_event](repeating: epoll_event(), count: 256)

    init() throws {
        descriptor = epoll_create1(stockq_epoll_cloexec)
        guard descriptor >= 0 else { throw SocketError("epoll_create1", errno) }
    }

    func close() { _ = Glibc.close(descriptor) }

    /// - Returns: how many events there are.
    func wait(milliseconds: Int32) -> Int {
        let count = epoll_wait(descriptor, &events, Int32(events.count), milliseconds)
        // The one other error is a signal.
        return max(0, Int(count))
    }

    func tag(_ index: Int) -> UInt64 { events[index].data.u64 }

    func flags(_ index: Int) -> UInt32 { events[index].events }

    func add(_ added: Int32, _ flags: UInt32, tag: UInt64) { control(EPOLL_CTL_ADD, added, flags, tag) }

    func change(_ changed: Int32, _ flags: UInt32, tag: UInt64) { control(EPOLL_CTL_MOD, changed, flags, tag) }

    func remove(_ removed: Int32) { control(EPOLL_CTL_DEL, removed, 0, 0) }

    private func control(_ operation: Int32, _ subject: Int32, _ flags: UInt32, _ tag: UInt64) {
        var event = epoll_event(events: flags, data: epoll_data_t(u64: tag))
        let result = epoll_ctl(descriptor, operation, subject, &event)
        // ENOMEM and ENOSPC are left, and the connection would never be heard of again.
        precondition(result == 0, "epoll_ctl: \(String(cString: strerror(errno)))")
    }
}

/// The time of a turn, and its `Date`.
struct LoopClock {
    private(set) var moment = Moment(milliseconds: 0, dateLine: [])
    private var second = 0

    var now: Int { moment.milliseconds }

    init() { refresh() }

    mutating func refresh() {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        moment.milliseconds = time.tv_sec * 1_000 + time.tv_nsec / 1_000_000
        clock_gettime(CLOCK_REALTIME_COARSE, &time)
        if time.tv_sec != second {
            second = time.tv_sec
            moment.dateLine = Array("Date: \(HTTPDate.text(max(0, second)))\r\n".utf8)
        }
    }
}
