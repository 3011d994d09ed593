import CommandLineKit
import Foundation
import StockQueue
import StockQueuePostgres

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

    /// The sentence, and in lines below it a note, when the job was enqueued and finished, and what the producer noted.
    func block(noting note: String?) -> String {
        let times = "enqueued \(Timestamp(enqueuedAt).shown), finished \(Timestamp(finishedAt).shown)"
        return sentence + (note.map { "\n  \($0)" } ?? "")
            + lines(below: times, reference: reference, reason: reason, actor: actor, occurredAt: occurredAt)
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
        case .paused: text += ", paused"
        case .deferred(let time):
            let isTriedAgain = waitingSince != nil || attempts > 0
            if let ahead = Timestamp(time).shownAhead {
                text += ", \(isTriedAgain ? "tried again at" : "scheduled for") \(ahead)"
            }
        }
        if attempts > 0 { text += ", \(attempts) of \(maxAttempts) attempts: \(lastError?.printable ?? "")" }
        return text
    }

    /// The sentence, and in lines below it when the job was enqueued, and what the producer noted.
    var block: String {
        sentence
            + lines(
                below: "enqueued \(Timestamp(enqueuedAt).shown)", reference: reference, reason: reason, actor: actor,
                occurredAt: occurredAt)
    }
}

/// Lines below the sentence of a job: its times, and in another line what the producer noted, as far as it did.
private func lines(
    below times: String, reference: String?, reason: String?, actor: String?, occurredAt: Date?
) -> String {
    let noted = [
        ("reference", reference), ("reason", reason), ("actor", actor),
        ("occurred", occurredAt.map { Timestamp($0).shown }),
    ]
    let shown = noted.compactMap { name, value in value.map { "\(name) \($0.printable)" } }
    return "\n  \(times)" + (shown.isEmpty ? "" : "\n  " + shown.joined(separator: ", "))
}
