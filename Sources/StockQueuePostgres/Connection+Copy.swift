internal import CLibPQ

/// `COPY`, which does not exist in pipeline mode: from this program, and to it.
extension Connection {
    /// Starts `COPY … FROM STDIN`; follow with `copy`, and `endCopy` or `failCopy`.
    package func startCopy(_ statement: Statement) throws(PostgresError) {
        try leavePipeline()
        try check(PQsendQuery(handle, statement.sql) == 1)
        try waitForResult(until: .after(milliseconds: settings.callTimeout.milliseconds))
        guard let answer = PQgetResult(handle) else { throw connectionLostError() }
        defer { PQclear(answer) }
        if PQresultStatus(answer) != PGRES_COPY_IN {
            let error = self.error(of: answer, statement: statement.name)
            try drainResults(until: .after(milliseconds: settings.callTimeout.milliseconds))
            throw error
        }
    }

    /// Sends data of a running COPY; waits while the server is slower than the caller.
    package func copy(_ bytes: [UInt8]) throws(PostgresError) {
        let deadline = Deadline.after(milliseconds: settings.callTimeout.milliseconds)
        while true {
            let taken = bytes.withUnsafeBytes { buffer in
                PQputCopyData(handle, buffer.baseAddress?.assumingMemoryBound(to: CChar.self), Int32(buffer.count))
            }
            if taken == 1 { break }
            if taken < 0 { throw connectionLostError() }
            try flush(until: deadline)
        }
        try flush(until: deadline)
    }

    /// Ends a running COPY.
    ///
    /// - Returns: the number of rows taken.
    package func endCopy(timeoutMs: Int? = nil) throws(PostgresError) -> Int {
        try finishCopy(failure: nil, timeoutMs: timeoutMs)
    }

    /// Gives a running COPY up; the server then discards its rows.
    package func failCopy(_ reason: String) throws(PostgresError) {
        do {
            _ = try finishCopy(failure: reason, timeoutMs: nil)
        } catch let error where !error.isConnectionFatal {
            // 57014 "COPY from stdin failed: <reason>" is what was asked for
        }
    }

    private func finishCopy(failure: String?, timeoutMs: Int?) throws(PostgresError) -> Int {
        let deadline = Deadline.after(milliseconds: timeoutMs ?? settings.callTimeout.milliseconds)
        while true {
            let taken = PQputCopyEnd(handle, failure)
            if taken == 1 { break }
            if taken < 0 { throw connectionLostError() }
            try flush(until: deadline)
        }
        return try drainResults(until: deadline)
    }

    /// Runs `COPY … TO STDOUT`.
    ///
    /// - Parameter body: gets each row as it arrives; false gives the rest up.
    /// - Returns: the number of rows; nil if `body` gave up. The transaction has failed then.
    package func copyOut(
        _ statement: Statement, _ body: (UnsafeRawBufferPointer) -> Bool
    ) throws(PostgresError) -> Int? {
        try leavePipeline()
        try check(PQsendQuery(handle, statement.sql) == 1)
        // The first row may take the server long.
        let patienceMs = max(settings.callTimeout.milliseconds, 3_600_000)
        try waitForResult(until: .after(milliseconds: patienceMs))
        guard let answer = PQgetResult(handle) else { throw connectionLostError() }
        defer { PQclear(answer) }
        if PQresultStatus(answer) != PGRES_COPY_OUT {
            let error = self.error(of: answer, statement: statement.name)
            try drainResults(until: .after(milliseconds: settings.callTimeout.milliseconds))
            throw error
        }
        var isGivenUp = false
        while true {
            var row: UnsafeMutablePointer<CChar>?
            let length = PQgetCopyData(handle, &row, 1)
            if length == 0 {
                try waitForInput(until: .after(milliseconds: patienceMs))
            } else if length > 0 {
                defer { PQfreemem(row) }
                if isGivenUp || body(UnsafeRawBufferPointer(start: row, count: Int(length))) { continue }
                isGivenUp = true
                cancel()
            } else {
                return try endOfCopy(isGivenUp: isGivenUp)
            }
        }
    }

    private func endOfCopy(isGivenUp: Bool) throws(PostgresError) -> Int? {
        do throws(PostgresError) {
            let rows = try drainResults(until: .after(milliseconds: settings.callTimeout.milliseconds))
            return isGivenUp ? nil : rows
        } catch let error where isGivenUp && error.sqlState == .queryCanceled {
            return nil
        }
    }

    /// Asks the server to end the present statement.
    private func cancel() {
        guard let request = PQgetCancel(handle) else { return }
        var message = [CChar](repeating: 0, count: 256)
        // Without it the rest of the rows is read and left.
        _ = PQcancel(request, &message, Int32(message.count))
        PQfreeCancel(request)
    }
}
