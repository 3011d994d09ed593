internal import CLibPQ

/// Loading rows with `COPY … FROM STDIN`, which does not exist in pipeline mode.
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
}
