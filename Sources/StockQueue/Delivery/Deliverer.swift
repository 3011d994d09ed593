import StockQueuePostgres

/// Delivers notifications to subscriptions (`migrations/functions/delivery.sql`): one thread and one connection, with
/// the messages sent beside it. It shares nothing with the workers, so no receiver can delay them.
struct Deliverer: WorkerService {
    let context: ServiceContext
    let name = "deliverer"
    let role = "deliverer"
    private let outbox: Outbox

    /// Notifications that one statement makes deliveries of.
    private static let fanOutMax = 1_000
    private static let presentMax = 500
    /// How long the ends of messages are gathered before they are recorded.
    private static let gatherMs = 4
    /// Without a subscription the deliverer rests for so many times as long as between two polls, at most `restMaxMs`.
    private static let restPolls = 16
    private static let restMaxMs = 4_000
    private static let lockTimeout = Duration.seconds(1)

    init(context: ServiceContext) {
        self.context = context
        outbox = Outbox(context.settings)
    }

    /// The planner may choose freely where the functions leave it a choice.
    func session(_ settings: WorkerSettings) -> [(name: String, value: String)] {
        settings.limits(lockTimeout: Self.lockTimeout)
    }

    func run(on connection: Connection, _ report: ServiceReport) throws(PostgresError) {
        let statements = DeliveryStatements(context.schema)
        let pollMs = context.settings.deliveryPollInterval.milliseconds
        let restMs = max(pollMs, min(Self.restPolls * pollMs, Self.restMaxMs))
        var nextFanOut = Deadline.after(milliseconds: 0)
        while !context.stop.isFinishing {
            _ = try recordEnded(connection, statements)
            if nextFanOut.hasPassed {
                let made = try fanOut(connection, statements)
                if made == nil && outbox.isIdle {
                    report.healthy()
                    _ = context.stop.wait(milliseconds: restMs)
                    continue
                }
                if made ?? 0 == 0 { nextFanOut = .after(milliseconds: pollMs) }
            }
            let claimed = try claim(connection, statements)
            report.healthy()
            // One message's end is followed by others', and a statement for many costs little more than one for one.
            if claimed == 0 || outbox.room == 0 { outbox.wait(milliseconds: pollMs) }
            if !outbox.isIdle { _ = context.stop.wait(milliseconds: Self.gatherMs) }
        }
        try recordRest(connection, statements)
    }

    /// After the stop no message is begun. Those under way end within the time that a stop may take, or count as lost
    /// and are sent again later.
    private func recordRest(_ connection: Connection, _ statements: DeliveryStatements) throws(PostgresError) {
        let deadline = Deadline.after(milliseconds: context.settings.stopTimeout.milliseconds / 2)
        while !outbox.isIdle && !deadline.hasPassed {
            outbox.wait(milliseconds: min(50, deadline.remainingMs))
            _ = try recordEnded(connection, statements)
        }
    }

    /// - Returns: how many messages had ended.
    private func recordEnded(_ connection: Connection, _ statements: DeliveryStatements) throws(PostgresError) -> Int {
        let ended = outbox.takeEnded()
        if ended.isEmpty { return 0 }
        do throws(PostgresError) {
            let rows = try connection.execute(
                statements.finish,
                DeliveryStatements.finishParameters(ended, disableAfter: context.settings.disableAfter))
            for subscription in DeliveryStatements.disabled(in: rows) {
                context.onEvent(.subscriptionDisabled(subscription))
            }
        } catch {
            outbox.putBack(ended)
            throw error
        }
        let failed = ended.count { $0.end.error != nil }
        context.onEvent(
            .deliveriesEnded(
                .init(
                    delivered: ended.count - failed, failed: failed,
                    error: ended.lazy.compactMap(\.end.error).first)))
        return ended.count
    }

    /// - Returns: how many notifications were read and deliveries made; nil while there is no subscription.
    private func fanOut(_ connection: Connection, _ statements: DeliveryStatements) throws(PostgresError) -> Int? {
        var parameters = Parameters()
        parameters.add(Int32(Self.fanOutMax))
        let rows = try connection.execute(statements.fanOut, parameters)
        let (notifications, deliveries) = (rows.column("notifications"), rows.column("deliveries"))
        return rows.isNull(0, notifications) ? nil : Int(rows.int32(0, notifications) + rows.int32(0, deliveries))
    }

    /// Claims as many messages as may be sent now, and sends them.
    ///
    /// - Returns: how many.
    private func claim(_ connection: Connection, _ statements: DeliveryStatements) throws(PostgresError) -> Int {
        let room = outbox.room
        if room == 0 { return 0 }
        let settings = context.settings
        let rows = try connection.execute(
            statements.claim,
            DeliveryStatements.claimParameters(
                room: room, each: settings.deliveriesAtOnceEach, busy: outbox.busy,
                // The claim must outlast the attempt and its record.
                leaseMs: settings.deliveryTimeout.milliseconds * 2 + settings.callTimeout.milliseconds))
        let claimed = DeliveryStatements.claimed(in: rows)
        for message in Self.messages(claimed) {
            let isDigest = message.contains { $0.event == "stock.digest" }
            outbox.send(message, present: isDigest ? try present(connection, statements, message[0]) : nil)
        }
        return claimed.count
    }

    /// The deliveries of a mail together, all others alone.
    private static func messages(_ claimed: [ClaimedDelivery]) -> [[ClaimedDelivery]] {
        let mails = Dictionary(grouping: claimed.filter { $0.channel == .mail }, by: \.subscriptionID)
        return claimed.filter { $0.channel != .mail }.map { [$0] } + mails.values
    }

    private func present(
        _ connection: Connection, _ statements: DeliveryStatements, _ delivery: ClaimedDelivery
    ) throws(PostgresError) -> [MailMessage.Line] {
        var parameters = Parameters()
        parameters.add(delivery.subscriptionID)
        parameters.add(Int32(Self.presentMax))
        return DeliveryStatements.present(
            in: try connection.execute(statements.digestItems, parameters), at: delivery.occurredAt)
    }
}
