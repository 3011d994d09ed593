import Dispatch
import Foundation
import StockQueueLocking

/// The messages that a deliverer is sending, and those that have ended and are not recorded yet.
///
/// Each message is sent beside the others; of a subscription only a few at a time, so that a slow receiver delays no
/// other.
final class Outbox: Sendable {
    /// Deliveries that ended together: one, or those of a mail.
    struct Ended: Sendable {
        let deliveries: [(id: Int64, claimID: Int64)]
        let end: DeliveryEnd
    }

    private struct State {
        var underWay = 0
        var bySubscription: [Int64: Int] = [:]
        var ended: [Ended] = []
    }

    private let settings: WorkerSettings
    private let webhooks: WebhookSender
    private let state = Mutex(State())
    /// Readable when a message has ended.
    private let changed = WakePipe()

    init(_ settings: WorkerSettings) {
        self.settings = settings
        webhooks = WebhookSender(
            atOnce: settings.deliveriesAtOnce, timeout: settings.deliveryTimeout,
            allowsPrivateTargets: settings.allowPrivateTargets)
    }

    /// How many more messages may be sent now.
    var room: Int { state.withLock { max(0, settings.deliveriesAtOnce - $0.underWay) } }

    /// The subscriptions with as many messages under way as they may have.
    var busy: [Int64] {
        state.withLock { $0.bySubscription.filter { $0.value >= settings.deliveriesAtOnceEach }.map(\.key) }
    }

    var isIdle: Bool { state.withLock { $0.underWay == 0 && $0.ended.isEmpty } }

    /// Waits until a message ends, at most so long.
    func wait(milliseconds: Int) {
        changed.wait(milliseconds: milliseconds)
        changed.clear()
    }

    func takeEnded() -> [Ended] {
        state.withLock { state in
            defer { state.ended = [] }
            return state.ended
        }
    }

    /// Gives back what could not be recorded.
    func putBack(_ ended: [Ended]) { state.withLock { $0.ended = ended + $0.ended } }

    // MARK: sending

    /// Sends one message.
    ///
    /// - Parameters:
    ///   - deliveries: one, or all those of a mail; of one subscription.
    ///   - present: what is low or out now, for a daily digest.
    func send(_ deliveries: [ClaimedDelivery], present: [MailMessage.Line]?) {
        let first = deliveries[0]
        state.withLock { state in
            state.underWay += 1
            state.bySubscription[first.subscriptionID, default: 0] += 1
        }
        let end: WebhookSender.End = { [self] end in
            let ended = Ended(deliveries: deliveries.map { ($0.id, $0.claimID) }, end: end)
            state.withLock { state in
                state.underWay -= 1
                let count = (state.bySubscription[first.subscriptionID] ?? 1) - 1
                state.bySubscription[first.subscriptionID] = count == 0 ? nil : count
                state.ended.append(ended)
            }
            changed.wake()
        }
        switch first.channel {
        case .webhook: webhooks.send(first, end: end)
        case .command: Thread { [self] in end(runCommand(first)) }.start()
        case .mail: Thread { [self] in end(sendMail(deliveries, present)) }.start()
        }
    }

    private func runCommand(_ delivery: ClaimedDelivery) -> DeliveryEnd {
        let folder = settings.commandFolder
        if folder.isEmpty { return .failed("commands are off: the setting commandFolder names no folder") }
        guard Self.isProgramName(delivery.target) else {
            return .failed("\(delivery.target) is not the name of a program in commandFolder")
        }
        let error = ProgramRun.failure(
            "\(folder)/\(delivery.target)", [delivery.event, delivery.messageID], input: delivery.body,
            timeout: settings.deliveryTimeout)
        return DeliveryEnd(error: error)
    }

    /// An administrator of the queue who adds a subscription must not choose any program of the machine.
    static func isProgramName(_ text: String) -> Bool {
        !text.isEmpty && !text.hasPrefix(".") && !text.contains("/") && !text.utf8.contains(0)
    }

    private func sendMail(_ deliveries: [ClaimedDelivery], _ present: [MailMessage.Line]?) -> DeliveryEnd {
        guard MailMessage.isAddress(deliveries[0].target) else {
            return .failed("\(deliveries[0].target) is not a mail address")
        }
        let message = MailMessage(deliveries, present: present, settings: settings)
        return DeliveryEnd(
            error: ProgramRun.failure(
                settings.sendmail, ["-t", "-i"], input: message.text(date: Date()), timeout: settings.deliveryTimeout))
    }
}
