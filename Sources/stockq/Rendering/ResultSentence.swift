import CommandLineKit
import StockQueue

extension JobResult {
    /// `job 1: applied – adjust -4 of a in s; available 5 → 1`
    var sentence: String {
        var text = "job \(jobId): \(outcome)"
        if let code { text += " (\(code))" }
        if let warning { text += ", warning \(warning)" }
        text += " – \(action) \(grouped(quantity)) of \(itemId.printable)"
        if locationId != "main" { text += " at \(locationId.printable)" }
        text += " in \(storeId.printable)"
        if outcome == "applied" && appliedQuantity != quantity { text += ", \(grouped(appliedQuantity)) of it applied" }
        if let onHandBefore, let onHandAfter, let allocatedBefore, let allocatedAfter {
            text += "; available \(changeText(onHandBefore - allocatedBefore, onHandAfter - allocatedAfter))"
        }
        if let groupId { text += "; group \(groupId.printable)" }
        if let message { text += "; \(sqlstate ?? ""): \(message.printable)" }
        return text
    }
}

extension QueuedJob {
    /// `job 1: queued – adjust -4 of a in s`
    var sentence: String {
        var text =
            "job \(jobId): queued – \(action) \(grouped(quantity)) of \(itemId.printable) in \(storeId.printable)"
        if waitingSince != nil { text += ", waits for stock" }
        if runAt == "infinity" {
            text += ", its store is paused"
        } else if let runAt {
            text += ", due at \(runAt)"
        }
        if attempts > 0 { text += ", \(attempts) of \(maxAttempts) attempts: \(lastError?.printable ?? "")" }
        return text
    }
}
