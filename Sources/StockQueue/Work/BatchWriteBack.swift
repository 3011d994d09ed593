import StockQueuePostgres

/// What a batch leaves: results, stock, keys used up, notifications, and the jobs that wait or are promoted.
extension Batch {
    func writeBack(
        _ decision: BatchDecision, _ places: inout ItemTupleCache.Lane
    ) throws(PostgresError) -> BatchReport {
        var report = BatchReport()
        report.claimed = claims.jobs.count
        report.finished = decision.finished
        report.waiting = decision.waiting
        report.left = decision.left
        report.notifications = decision.levelChanges.count
        var expected: [(Statement, Int)] = []
        let keyUsers = decision.keyUsers
        if !keyUsers.isEmpty {
            try sendKeyUse(keyUsers)
            expected.append((statements.useKeys, keyUsers.count))
        }
        if !decision.changedItems.isEmpty {
            try sendStock(decision)
            expected.append((statements.writeItems, decision.changedItems.count))
        }
        let finished = decision.decisions.indices.filter { decision.decisions[$0].fate == .result }
        if !finished.isEmpty {
            try sendResults(decision.decisions, finished)
            expected.append((statements.writeResults, finished.count))
        }
        if !decision.levelChanges.isEmpty {
            try sendNotifications(decision.levelChanges)
            expected.append((statements.writeNotifications, decision.levelChanges.count))
        }
        if decision.waiting > 0 {
            let waiting = decision.decisions.indices.filter { decision.decisions[$0].fate == .waits }
            try sendWaiting(decision.decisions, waiting)
            expected.append((statements.deferWaiting, waiting.count))
        }
        let results = try connection.receive()
        for (result, (statement, rows)) in zip(results, expected) {
            try expect(result.affectedRows == rows, statement, result.affectedRows, rows)
        }
        if !decision.changedItems.isEmpty {
            let written = results[keyUsers.isEmpty ? 0 : 1]
            for row in 0..<written.rowCount {
                let item = decision.changedItems[Int(written.int32(row, 0))]
                places[claims.items.hash(of: item)] = written.tupleID(row, 1)
            }
        }
        try promoteWaiting(decision, &report)
        for index in finished {
            switch decision.decisions[index].outcome {
            case .applied: report.applied += 1
            case .rejected: report.rejected += 1
            default: break
            }
        }
        return report
    }

    private func sendKeyUse(_ users: [Int32]) throws(PostgresError) {
        let jobs = claims.jobs
        try send(statements.useKeys) { $0.addArray(of: users.count, tupleID: { jobs[Int(users[$0])].place }) }
    }

    private func sendStock(_ decision: BatchDecision) throws(PostgresError) {
        let items = decision.changedItems
        let stock = decision.stock
        func state(_ index: Int) -> ItemState { stock[Int(items[index])] }
        try send(statements.writeItems) { parameters in
            parameters.addArray(of: items.count, tupleID: { state($0).place })
            parameters.addArray(of: items.count, int64: { state($0).onHand })
            parameters.addArray(of: items.count, int64: { state($0).allocated })
            parameters.addArray(of: items.count, int64: { state($0).version })
            parameters.addArray(of: items.count, int64: { state($0).lastJobID })
            parameters.addArray(of: items.count, int16: { state($0).notifiedLevel.map { Int16($0.ordinal) } })
        }
    }

    private func sendResults(_ decisions: [JobDecision], _ finished: [Int]) throws(PostgresError) {
        let count = finished.count
        let jobs = claims.jobs
        func decision(_ index: Int) -> JobDecision { decisions[finished[index]] }
        // Arrays without elements are padded with NULL: most batches have neither.
        let repeats = claims.keys.count > 0 ? count : 0
        let groupLasts = claims.groups.count > 0 ? claims.lastOfGroups() : []
        try send(statements.writeResults) { parameters in
            parameters.addArray(of: count, tupleID: { jobs[finished[$0]].place })
            parameters.addArray(of: count, int16: { Int16(decision($0).outcome.ordinal) })
            parameters.addArray(of: count, int16: { decision($0).code.map { Int16($0.ordinal) } })
            parameters.addArray(of: count, bool: { decision($0).warnsNegative })
            parameters.addArray(of: count, int64: { decision($0).appliedQuantity })
            parameters.addArray(of: count, int64: { decision($0).hasStock ? decision($0).onHandBefore : nil })
            parameters.addArray(of: count, int64: { decision($0).hasStock ? decision($0).onHandAfter : nil })
            parameters.addArray(of: count, int64: { decision($0).hasStock ? decision($0).allocatedBefore : nil })
            parameters.addArray(of: count, int64: { decision($0).hasStock ? decision($0).allocatedAfter : nil })
            parameters.addArray(of: count, int64: { decision($0).hasStock ? decision($0).version : nil })
            parameters.addArray(of: count, int64: { decision($0).previousJobID })
            parameters.addArray(of: count, int16: { decision($0).levelBefore.map { Int16($0.ordinal) } })
            parameters.addArray(of: count, int16: { decision($0).levelAfter.map { Int16($0.ordinal) } })
            parameters.add(workerName)
            parameters.addArray(of: repeats, int64: { decision($0).firstJobID })
            parameters.addArray(of: groupLasts.isEmpty ? 0 : count, int64: { groupLasts[finished[$0]] })
        }
    }

    private func sendNotifications(_ changes: [LevelChange]) throws(PostgresError) {
        let items = changes.map(\.item)
        let jobs = claims.jobs
        try send(statements.writeNotifications) { parameters in
            self.addItems(items, to: &parameters)
            parameters.addArray(of: changes.count, int16: { Int16(changes[$0].kind.ordinal) })
            parameters.addArray(of: changes.count, int64: { changes[$0].threshold })
            parameters.addArray(of: changes.count, int64: { changes[$0].availableBefore })
            parameters.addArray(of: changes.count, int64: { changes[$0].availableAfter })
            parameters.addArray(of: changes.count, int64: { jobs[Int(changes[$0].job)].id })
            parameters.addArray(of: changes.count, int64: { changes[$0].version })
        }
    }

    private func sendWaiting(_ decisions: [JobDecision], _ waiting: [Int]) throws(PostgresError) {
        let jobs = claims.jobs
        try send(statements.deferWaiting) { parameters in
            parameters.addArray(of: waiting.count, tupleID: { jobs[waiting[$0]].place })
            parameters.addArray(of: waiting.count, int64: { decisions[waiting[$0]].waitingQuantity })
            parameters.add(Int64(settings.waitLongestSeconds))
        }
    }

    /// Wakes what waits for the stock that rose, a bounded number of jobs at a time.
    private func promoteWaiting(_ decision: BatchDecision, _ report: inout BatchReport) throws(PostgresError) {
        var risen = decision.itemsWithMoreStock.filter { decision.stock[Int($0)].available > 0 }
        var left = risen.map { decision.stock[Int($0)].available }
        while !risen.isEmpty {
            try send(statements.promoteWaiting) { parameters in
                self.addItems(risen, to: &parameters)
                parameters.addArray(of: left.count, int64: { left[$0] })
                parameters.add(Int32(settings.wakeWaitingMax))
            }
            let promoted = try connection.receive()[0]
            var stillRisen: [Int32] = []
            var stillLeft: [Int64] = []
            for row in 0..<promoted.rowCount {
                let count = Int(promoted.int64(row, 3))
                if promoted.isNull(row, 0) {
                    report.promoted += count
                    report.promotions.append((promoted.int16(row, 1), promoted.int16(row, 2), promoted.int64(row, 4)))
                    continue
                }
                guard count == settings.wakeWaitingMax else { continue }
                let index = Int(promoted.int32(row, 0))
                stillRisen.append(risen[index])
                stillLeft.append(left[index] - promoted.int64(row, 4))
            }
            risen = stillRisen
            left = stillLeft
        }
    }
}
