import StockQueuePostgres

/// Reads the highest job id drawn so far.
struct LastDrawnIDStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "last_drawn_id", [],
            "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM \(schema.quoted).jobs_job_id_seq")
    }
}

/// Reads the transactions that may have drawn ids which are not visible yet: a transaction that inserts jobs holds this
/// lock from before it draws an id until it ends. Prepared transactions are among them.
///
/// So are those that have changed rows of `lanes`, to pause or to resume: they have drawn no id, but while one of them is
/// open no lane is worked, so the watch has to report it.
///
/// A transaction's id comes from the snapshot, as xid8 and without those of its subtransactions. It is missing while the
/// transaction has written nothing, and while no transaction with a later id has ended.
struct WritersStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "writers", [],
            """
            WITH locks AS MATERIALIZED (
                SELECT pid, virtualtransaction, transactionid, relation
                FROM pg_locks
                WHERE locktype = 'transactionid' AND mode = 'ExclusiveLock'
                    OR relation IN (
                        to_regclass(\(quoteLiteral("\(schema.quoted).jobs"))),
                        to_regclass(\(quoteLiteral("\(schema.quoted).lanes")))
                    )
                    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
                    AND mode = 'RowExclusiveLock'
            ), open AS MATERIALIZED (
                SELECT virtualtransaction, xid
                FROM pg_snapshot_xip(pg_current_snapshot()) AS xid
                JOIN locks ON transactionid = xid::xid
            )
            SELECT virtualtransaction AS session, min(pid) AS process_id,
                (SELECT xid FROM open WHERE open.virtualtransaction = locks.virtualtransaction LIMIT 1) AS transaction_id
            FROM locks
            WHERE relation IS NOT NULL
            GROUP BY virtualtransaction
            """)
    }

    static func writers(in rows: ResultSet) -> [JobWriter] {
        let (session, processID) = (rows.column("session"), rows.column("process_id"))
        let transactionID = rows.column("transaction_id")
        return (0..<rows.rowCount).map {
            JobWriter(
                session: rows.string($0, session), processID: rows.optionalInt32($0, processID),
                transactionID: rows.optionalInt64($0, transactionID))
        }
    }
}

/// Finds those of some transactions that have ended.
///
/// Sent behind a statement that relies on their being open: a transaction that this statement's snapshot sees as open
/// was so in every snapshot before.
struct FindEndedTransactionsStatement: QueueStatement {
    let statement = Statement(
        "find_ended_transactions", [.xid8Array],
        """
        SELECT transaction_id
        FROM unnest($1) AS passed (transaction_id)
        WHERE pg_visible_in_snapshot(transaction_id, pg_current_snapshot())
        """)

    static func parameters(_ transactions: [TransactionID]) -> Parameters {
        var parameters = Parameters()
        parameters.addArray(of: transactions.count, xid8: { transactions[$0] })
        return parameters
    }

    static func transactions(in rows: ResultSet) -> [TransactionID] {
        let transactionID = rows.column("transaction_id")
        return (0..<rows.rowCount).map { rows.int64($0, transactionID) }
    }
}

/// Describes the sessions and the prepared transactions among some writers, so that an administrator finds them.
///
/// A role without `pg_read_all_stats` does not see when a transaction of another role began.
struct DescribeWritersStatement: QueueStatement {
    let statement = Statement(
        "describe_writers", [.int4Array, .xid8Array],
        """
        SELECT pid AS process_id, usename::text AS user_name, application_name, NULL AS prepared_name,
            extract(epoch FROM clock_timestamp() - xact_start)::bigint AS seconds, NULL::xid8 AS transaction_id
        FROM pg_stat_activity
        WHERE pid = ANY ($1)
        UNION ALL
        SELECT NULL, owner::text, NULL, gid, extract(epoch FROM clock_timestamp() - prepared)::bigint, passed
        FROM unnest($2) AS passed
        JOIN pg_prepared_xacts ON transaction = passed::xid
        """)

    static func parameters(_ writers: [JobWriter]) -> Parameters {
        let sessions = writers.compactMap(\.processID)
        let prepared = writers.filter { $0.processID == nil }.compactMap(\.transactionID)
        var parameters = Parameters()
        parameters.addArray(of: sessions.count, int32: { sessions[$0] })
        parameters.addArray(of: prepared.count, xid8: { prepared[$0] })
        return parameters
    }

    struct Row {
        var processID: Int32?
        var user: String?
        var applicationName: String?
        var preparedName: String?
        /// Since the transaction began or was prepared; nil where this role may not know.
        var seconds: Int64?
        /// Of a prepared transaction.
        var transactionID: TransactionID?
    }

    static func rows(in rows: ResultSet) -> [Row] {
        let (processID, user) = (rows.column("process_id"), rows.column("user_name"))
        let (application, prepared) = (rows.column("application_name"), rows.column("prepared_name"))
        let (seconds, transactionID) = (rows.column("seconds"), rows.column("transaction_id"))
        return (0..<rows.rowCount).map {
            Row(
                processID: rows.optionalInt32($0, processID), user: rows.optionalString($0, user),
                applicationName: rows.optionalString($0, application),
                preparedName: rows.optionalString($0, prepared), seconds: rows.optionalInt64($0, seconds),
                transactionID: rows.optionalInt64($0, transactionID))
        }
    }
}
