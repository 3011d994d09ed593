internal import CLibPQ
import Foundation

/// LISTEN, and the notifications of other sessions.
extension Connection {
    /// Starts to listen on a channel.
    package func listen(channel: String) throws(PostgresError) {
        try executeScript("LISTEN \(quoteIdentifier(channel))")
    }

    /// Waits until a notification comes, the wake descriptor becomes readable, or the time is over.
    ///
    /// - Returns: the channels of the notifications; none when something else ended the wait.
    package func waitForNotification(wakeDescriptor: Int32, timeoutMs: Int) throws(PostgresError) -> [String] {
        try takeNotifications()
        if pendingNotifications.isEmpty {
            var descriptors = [
                pollfd(fd: PQsocket(handle), events: Int16(POLLIN), revents: 0),
                pollfd(fd: wakeDescriptor, events: Int16(POLLIN), revents: 0),
            ]
            let ready = poll(&descriptors, 2, Int32(clamping: timeoutMs))
            if ready > 0, descriptors[0].revents != 0 {
                guard PQconsumeInput(handle) == 1 else { throw connectionLostError() }
                try takeNotifications()
            }
        }
        defer { pendingNotifications.removeAll(keepingCapacity: true) }
        return pendingNotifications
    }

    private func takeNotifications() throws(PostgresError) {
        while let notification = PQnotifies(handle) {
            pendingNotifications.append(String(cString: notification.pointee.relname))
            PQfreemem(notification)
        }
    }
}
