import Foundation
import StockQueuePostgres

extension MailMessage {
    /// The mail of the deliveries that one claim found for a subscription.
    ///
    /// - Parameter present: what is low or out now; nil where no daily digest is due.
    init(_ deliveries: [ClaimedDelivery], present: [Line]?, settings: WorkerSettings) {
        let first = deliveries[0]
        // The first delivery stays the first in each attempt.
        self.init(to: first.target, messageID: first.messageID, subscription: first.subscription)
        from = settings.mailFrom
        dashboardURL = settings.dashboardURL
        if let zone = first.timeZone.flatMap(TimeZone.init(identifier:)) { timeZone = zone }
        lines = deliveries.filter { $0.event != "stock.digest" }.map(Line.init)
        self.present = present
    }
}

extension MailMessage.Line {
    /// What the data of a delivery says.
    private struct Content: Decodable {
        struct Cause: Decodable {
            var action: String?
            var quantity: Int64?
            var reference: String?
            var reason: String?
        }

        var storeID: String?
        var itemID: String?
        var locationID: String?
        var available: Int64?
        var lowStockThreshold: Int64?
        var cause: Cause?

        private enum CodingKeys: String, CodingKey {
            case storeID = "store_id"
            case itemID = "item_id"
            case locationID = "location_id"
            case available, cause
            case lowStockThreshold = "low_stock_threshold"
        }
    }

    init(_ delivery: ClaimedDelivery) {
        let content = try? JSONDecoder().decode(Content.self, from: Data(delivery.data.utf8))
        var cause: String?
        if let given = content?.cause, let action = given.action {
            cause = action == "threshold" ? "a changed threshold" : "\(action) \(given.quantity ?? 0)"
            for text in [given.reference, given.reason].compactMap({ $0 }) { cause! += ", \(text)" }
        }
        self.init(
            event: delivery.event, store: content?.storeID ?? "", item: content?.itemID ?? "",
            location: content?.locationID ?? "main", available: content?.available ?? 0,
            threshold: content?.lowStockThreshold, cause: cause, at: delivery.occurredAt)
    }
}
