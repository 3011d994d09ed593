import StockModel

/// What idempotency keys decide before a job's effect does.
extension BatchDecider {
    /// The use of the job's key before it; nil for an unused key and for a job without one.
    func use(of job: ClaimedJob) -> KeyState? { job.key.flatMap { keys[$0] } }

    /// A job whose key was used before is a duplicate where the request is the same, and rejected otherwise.
    static func outcome(of job: ClaimedJob, keyUsedBy used: KeyState, _ item: ItemState) -> JobOutcome {
        used.request == KeyState.Request(of: job)
            ? .duplicate(ofJobID: used.jobID, item.snapshot)
            : .rejected(.idempotencyMismatch, item.snapshot, firstJobID: used.jobID)
    }

    mutating func useKey(of job: ClaimedJob, at index: JobIndex) {
        guard let key = job.key else { return }
        keys[key] = KeyState(jobID: job.id, request: KeyState.Request(of: job))
        decision.keyUsers.append(index)
    }

    mutating func useKeys(of lines: ArraySlice<ClaimedJob>) {
        for index in lines.indices { useKey(of: lines[index], at: JobIndex(index)) }
    }

    /// What the keys of a group's lines decide; nil where all of them are unused.
    ///
    /// A group that was submitted before is a duplicate line by line. It is rejected as a whole where only some of its
    /// lines were submitted before, where a key occurs twice in it, or where a key was used for another request.
    func outcomesByKeys(of lines: ArraySlice<ClaimedJob>) -> [JobOutcome]? {
        if lines.allSatisfy({ $0.key == nil }) { return nil }
        var uses = lines.map { use(of: $0) }
        var firstUses: [KeyIndex: KeyState] = [:]
        for (position, line) in zip(uses.indices, lines) where uses[position] == nil {
            guard let key = line.key else { continue }
            uses[position] = firstUses[key]
            if uses[position] == nil {
                firstUses[key] = KeyState(jobID: line.id, request: KeyState.Request(of: line))
            }
        }
        if uses.allSatisfy({ $0 == nil }) { return nil }
        let isDuplicate = zip(uses, lines).map { $0?.request == KeyState.Request(of: $1) }
        let areAllDuplicates = !isDuplicate.contains(false)
        return zip(zip(uses, isDuplicate), lines).map { use, line in
            let snapshot = items[line.item].snapshot
            if areAllDuplicates, let used = use.0 { return .duplicate(ofJobID: used.jobID, snapshot) }
            let code: ResultCode = use.1 ? .groupRejected : .idempotencyMismatch
            return .rejected(code, snapshot, firstJobID: use.0?.jobID)
        }
    }
}
