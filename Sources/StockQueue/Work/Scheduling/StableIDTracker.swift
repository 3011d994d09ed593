/// A transaction's id, an xid8 as the server sends it.
package typealias TransactionID = Int64

/// A transaction that inserts jobs, or otherwise writes to their table.
package struct JobWriter: Equatable, Sendable {
    /// The transaction's virtual id, which it has from its beginning to its end.
    package var session: String
    /// Nil for a prepared transaction.
    package var processID: Int32?
    /// Nil where the transaction has none, or where it is not known yet.
    package var transactionID: TransactionID?

    package init(session: String, processID: Int32?, transactionID: TransactionID?) {
        self.session = session
        self.processID = processID
        self.transactionID = transactionID
    }
}

/// An open transaction whose ids the low-water marks have passed.
package struct PassedTransaction: Equatable, Sendable {
    package var id: TransactionID
    /// Its jobs have ids above this one.
    package var lastIDBefore: Int64

    package init(id: TransactionID, lastIDBefore: Int64) {
        self.id = id
        self.lastIDBefore = lastIDBefore
    }
}

/// Finds the stable id: every job with a lower or equal id is visible, will never exist, or belongs to a passed
/// transaction.
///
/// Each look reads first the last id drawn and then the writers, in two statements: a transaction that drew an id up to
/// this one is among the writers, or has ended. The id becomes stable when all of these writers have ended. One that
/// stays open is passed, so that a producer that hangs does not stop the marks.
package struct StableIDTracker {
    package struct Look {
        package var lastDrawnID: Int64
        package var writers: [JobWriter]

        package init(lastDrawnID: Int64, writers: [JobWriter]) {
            self.lastDrawnID = lastDrawnID
            self.writers = writers
        }
    }

    package struct Findings {
        /// Other ids than before: behind a pooler the server has changed, and nothing known holds.
        package var startsOver = false
        package var stableID: Int64?
        /// Writers that the stable id passes from now on.
        package var passed: [PassedTransaction] = []
        /// Passed transactions that have ended.
        package var ended: [TransactionID] = []
        /// Writers that have been open for long and of which a warning is due, with the seconds since they were seen
        /// first.
        package var overdue: [(writer: JobWriter, seconds: Int)] = []
    }

    /// The most transactions that are passed at once. Each claim asks for all of them.
    package static let passedMax = 100
    /// How long an id waits for its writers before it passes them. Most end sooner, and the end of a passed one costs a
    /// claim. Where that occurs often, an id waits longer.
    package static let (patienceMinMs, patienceMaxMs) = (1_000, 64_000)
    /// This many times the patience without the end of a passed transaction, and it is halved.
    private static let relaxAfter = 10
    /// Warnings of a writer begin when it has been open for this long, and are repeated.
    package static let (warnAfterMs, warnEveryMs) = (10_000, 60_000)

    /// A writer goes by its transaction's id, and as long as that is unknown by its session.
    private enum Key: Hashable {
        case transaction(TransactionID)
        case session(String)
    }

    /// What is known of a writer since it was seen first.
    private struct Seen {
        /// It draws ids above this one.
        var lastIDBefore: Int64
        var sinceMs: Int
        var warnAtMs: Int
    }

    /// The writers of the last look.
    private var seen: [Key: Seen] = [:]
    private var lastDrawnID: Int64 = 0
    /// The id that becomes stable next, since when, and the writers of that look that have not ended.
    private var candidate: Int64 = 0
    private var candidateSinceMs = 0
    private var pending: Set<Key> = []
    private var passedBefore: Set<TransactionID> = []
    private var patienceMs = StableIDTracker.patienceMinMs
    private var relaxAtMs = 0

    package init() {}

    /// - Parameters:
    ///   - passed: the passed transactions that no claim has found ended.
    ///   - nowMs: any monotonic clock, milliseconds.
    package mutating func findings(_ look: Look, passed: Set<TransactionID>, nowMs: Int) -> Findings {
        if look.lastDrawnID < lastDrawnID {
            self = StableIDTracker()
            return Findings(startsOver: true)
        }
        var findings = Findings()
        updateSeen(look, nowMs, &findings)
        findings.ended = passed.filter { seen[.transaction($0)] == nil }
        adaptPatience(passed.subtracting(findings.ended), nowMs)
        pending = pending.filter { key in
            if case .transaction(let id) = key, passed.contains(id) { return false }
            return seen[key] != nil
        }
        if pending.isEmpty {
            findings.stableID = candidate
        } else if nowMs - candidateSinceMs >= patienceMs, let passing = passPending(beside: passedBefore.count) {
            findings.stableID = candidate
            findings.passed = passing
        }
        passedBefore.formUnion(findings.passed.map(\.id))
        if findings.stableID != nil { takeCandidate(look, nowMs, &findings) }
        lastDrawnID = look.lastDrawnID
        return findings
    }

    private mutating func updateSeen(_ look: Look, _ nowMs: Int, _ findings: inout Findings) {
        var now: [Key: Seen] = [:]
        for writer in look.writers {
            let bySession = Key.session(writer.session)
            let key = writer.transactionID.map { .transaction($0) } ?? bySession
            // Its id became known since the last look.
            if key != bySession && pending.remove(bySession) != nil { pending.insert(key) }
            var entry =
                seen[key] ?? seen[bySession]
                ?? Seen(lastIDBefore: lastDrawnID, sinceMs: nowMs, warnAtMs: nowMs + Self.warnAfterMs)
            if nowMs >= entry.warnAtMs {
                entry.warnAtMs = nowMs + Self.warnEveryMs
                findings.overdue.append((writer, (nowMs - entry.sinceMs) / 1_000))
            }
            now[key] = entry
        }
        seen = now
    }

    /// Passing a transaction that ends soon costs more than waiting for it.
    private mutating func adaptPatience(_ open: Set<TransactionID>, _ nowMs: Int) {
        if !passedBefore.isSubset(of: open) {
            patienceMs = min(2 * patienceMs, Self.patienceMaxMs)
            relaxAtMs = nowMs + Self.relaxAfter * patienceMs
        } else if patienceMs > Self.patienceMinMs && nowMs >= relaxAtMs {
            patienceMs /= 2
            relaxAtMs = nowMs + Self.relaxAfter * patienceMs
        }
        passedBefore = open
    }

    /// All pending writers as passed transactions; nil where one has no id by which a claim could ask for it, or where
    /// they are too many.
    private func passPending(beside passed: Int) -> [PassedTransaction]? {
        if passed + pending.count > Self.passedMax { return nil }
        var passing: [PassedTransaction] = []
        for key in pending {
            guard case .transaction(let id) = key, let entry = seen[key] else { return nil }
            passing.append(PassedTransaction(id: id, lastIDBefore: entry.lastIDBefore))
        }
        return passing
    }

    private mutating func takeCandidate(_ look: Look, _ nowMs: Int, _ findings: inout Findings) {
        candidate = look.lastDrawnID
        candidateSinceMs = nowMs
        pending = Set(seen.keys).subtracting(passedBefore.map { .transaction($0) })
        if pending.isEmpty { findings.stableID = candidate }
    }
}
