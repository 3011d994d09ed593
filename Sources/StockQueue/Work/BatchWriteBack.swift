import Postgres

/// What a batch leaves: results, stock, keys used up, notifications, and the jobs that wait or are woken.
extension Batch {
    func writeBack(
        _ judgement: Judgement, _ places: inout ItemPlaces.Lane
    ) throws(PostgresError) -> BatchReport {
        var report = BatchReport()
        report.claimed = claims.jobs.count
        report.finished = judgement.finished
        report.waiting = judgement.waiting
        report.left = judgement.left
        report.notifications = judgement.levelChanges.count
        var expected: [(Statement, Int)] = []
        let keyUsers = judgement.keyUsers
        if !keyUsers.isEmpty {
            try sendKeyUse(keyUsers)
            expected.append((statements.useKeys, keyUsers.count))
        }
        if !judgement.changedItems.isEmpty {
            try sendStock(judgement)
            expected.append((statements.writeStock, judgement.changedItems.count))
        }
        let finished = judgement.verdicts.indices.filter { judgement.verdicts[$0].fate == .result }
        if !finished.isEmpty {
            try sendResults(judgement.verdicts, finished)
            expected.append((statements.writeResults, finished.count))
        }
        if !judgement.levelChanges.isEmpty {
            try sendNotifications(judgement.levelChanges)
            expected.append((statements.writeNotifications, judgement.levelChanges.count))
        }
        if judgement.waiting > 0 {
            let waiting = judgement.verdicts.indices.filter { judgement.verdicts[$0].fate == .waits }
            try sendWaiting(judgement.verdicts, waiting)
            expected.append((statements.deferWaiting, waiting.count))
        }
        let results = try connection.receive()
        for (result, (statement, rows)) in zip(results, expected) {
            try expect(result.affectedRows == rows, statement, result.affectedRows, rows)
        }
        if !judgement.changedItems.isEmpty {
            let written = results[keyUsers.isEmpty ? 0 : 1]
            for row in 0..<written.rowCount {
                let item = judgement.changedItems[Int(written.int32(row, 0))]
                places[claims.items.hash(of: item)] = written.place(row, 1)
            }
        }
        try promoteWaiting(judgement, &report)
        for index in finished {
            switch judgement.verdicts[index].outcome {
            case .applied: report.applied += 1
            case .rejected: report.rejected += 1
            default: break
            }
        }
        return report
    }

    private func sendKeyUse(_ users: [Int32]) throws(PostgresError) {
        let jobs = claims.jobs
        try send(statements.useKeys) { $0.addArray(of: users.count, place: { jobs[Int(users[$0])].place }) }
    }

    private func sendStock(_ judgement: Judgement) throws(PostgresError) {
        let items = judgement.changedItems
        let stock = judgement.stock
        func state(_ index: Int) -> StockState { stock[Int(items[index])] }
        try send(statements.writeStock) { parameters in
            parameters.addArray(of: items.count, place: { state($0).place })
            parameters.addArray(of: items.count, int64: { state($0).onHand })
            parameters.addArray(of: items.count, int64: { state($0).allocated })
            parameters.addArray(of: items.count, int64: { state($0).version })
            parameters.addArray(of: items.count, int64: { state($0).lastJobID })
            parameters.addArray(of: items.count, int16: { state($0).toldLevel.map { Int16($0.ordinal) } })
        }
    }

    private func sendResults(_ verdicts: [Verdict], _ finished: [Int]) throws(PostgresError) {
        let count = finished.count
        let jobs = claims.jobs
        func verdict(_ index: Int) -> Verdict { verdicts[finished[index]] }
        // Arrays without elements are padded with NULL: most batches have neither.
        let repeats = claims.keys.count > 0 ? count : 0
        let groupLasts = claims.groups.count > 0 ? claims.lastOfGroups() : []
        try send(statements.writeResults) { parameters in
            parameters.addArray(of: count, place: { jobs[finished[$0]].place })
            parameters.addArray(of: count, int16: { Int16(verdict($0).outcome.ordinal) })
            parameters.addArray(of: count, int16: { verdict($0).code.map { Int16($0.ordinal) } })
            parameters.addArray(of: count, bool: { verdict($0).warnsNegative })
            parameters.addArray(of: count, int64: { verdict($0).appliedQuantity })
            parameters.addArray(of: count, int64: { verdict($0).hasStock ? verdict($0).onHandBefore : nil })
            parameters.addArray(of: count, int64: { verdict($0).hasStock ? verdict($0).onHandAfter : nil })
            parameters.addArray(of: count, int64: { verdict($0).hasStock ? verdict($0).allocatedBefore : nil })
            parameters.addArray(of: count, int64: { verdict($0).hasStock ? verdict($0).allocatedAfter : nil })
            parameters.addArray(of: count, int64: { verdict($0).hasStock ? verdict($0).version : nil })
            parameters.addArray(of: count, int64: { verdict($0).previousJobID })
            parameters.addArray(of: count, int16: { verdict($0).levelBefore.map { Int16($0.ordinal) } })
            parameters.addArray(of: count, int16: { verdict($0).levelAfter.map { Int16($0.ordinal) } })
            parameters.add(workerName)
            parameters.addArray(of: repeats, int64: { verdict($0).firstJobID })
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

    private func sendWaiting(_ verdicts: [Verdict], _ waiting: [Int]) throws(PostgresError) {
        let jobs = claims.jobs
        try send(statements.deferWaiting) { parameters in
            parameters.addArray(of: waiting.count, place: { jobs[waiting[$0]].place })
            parameters.addArray(of: waiting.count, int64: { verdicts[waiting[$0]].waitingQuantity })
            parameters.add(Int64(settings.waitLongestSeconds))
        }
    }

    /// Wakes what waits for the stock that rose, a bounded number of jobs at a time.
    private func promoteWaiting(_ judgement: Judgement, _ report: inout BatchReport) throws(PostgresError) {
        var risen = judgement.risenItems.filter { judgement.stock[Int($0)].available > 0 }
        var left = risen.map { judgement.stock[Int($0)].available }
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
                    report.woken += count
                    report.wokenPlaces.append((promoted.int16(row, 1), promoted.int16(row, 2), promoted.int64(row, 4)))
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
