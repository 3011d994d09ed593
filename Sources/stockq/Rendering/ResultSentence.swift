import CommandLineKit
import StockQueue

extension JobResult {
    /// `rejected (insufficient_stock)`
    var outcomeText: String { outcome.rawValue + (code.map { " (\($0.rawValue))" } ?? "") }

    /// `adjust -4 of a in s`
    var requestText: String {
        let location = locationID == "main" ? "" : " at \(locationID.printable)"
        return "\(action.rawValue) \(grouped(quantity)) of \(itemID.printable)\(location) in \(storeID.printable)"
    }

    /// `job 1: applied – adjust -4 of a in s; available 5 → 1`
    var sentence: String {
        var text = "job \(jobID): \(outcomeText)"
        if let warning { text += ", warning \(warning.rawValue)" }
        text += " – \(requestText)"
        if outcome == .applied && appliedQuantity != quantity { text += ", \(grouped(appliedQuantity)) of it applied" }
        if let before, let after { text += "; available \(changeText(before.available, after.available))" }
        if let groupID { text += "; group \(groupID.printable)" }
        if let message { text += "; \(sqlState.map { "\($0): " } ?? "")\(message.printable)" }
        return text
    }
}

extension QueuedJob {
    /// `job 1: queued – adjust -4 of a in s`
    var sentence: String {
        var text =
            "job \(jobID): queued – \(action.rawValue) \(grouped(quantity)) of \(itemID.printable) in \(storeID.printable)"
        if waitingSince != nil { text += ", waits for stock" }
        switch schedule {
        case .ready: break
        case .paused: text += ", its store is paused"
        case .deferred(let time): text += ", due at \(Timestamp(time).shown)"
        }
        if attempts > 0 { text += ", \(attempts) of \(maxAttempts) attempts: \(lastError?.printable ?? "")" }
        return text
    }
}
