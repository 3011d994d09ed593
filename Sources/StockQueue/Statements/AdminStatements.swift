import StockModel
import StockQueuePostgres

// Each statement but the list of grants calls a function of the schema (`migrations/functions/`), which only
// administrators may execute and which records who did what, and when.

/// The parameters that name queued jobs.
private enum SelectionParameters {
    static let types: [TypeOID] = [.int8Array, .text, .text, .text, .text]

    /// The arguments of the functions that name queued jobs.
    static func arguments(_ schema: QueueSchema) -> String {
        """
        job_ids => CASE WHEN $5 IS NULL THEN $1 ELSE ARRAY(SELECT job_id FROM \(schema.quoted).find_key($2, $5)) END,
            store_id => $2, group_id => $3, reference => $4
        """
    }

    static func parameters(_ selection: QueueAdmin.Selection) -> Parameters {
        var parameters = Parameters()
        var (store, group, reference, key): (String?, String?, String?, String?)
        switch selection {
        case .jobs(let jobs): parameters.addArray(of: jobs.count, int64: { jobs[$0] })
        case .group(let ofStore, let name):
            parameters.add(nil as String?)
            (store, group) = (ofStore, name)
        case .reference(let ofStore, let text):
            parameters.add(nil as String?)
            (store, reference) = (ofStore, text)
        case .key(let ofStore, let text):
            parameters.add(nil as String?)
            (store, key) = (ofStore, text)
        }
        for text in [store, group, reference, key] { parameters.add(text) }
        return parameters
    }
}

extension ResultSet {
    /// The column `job_id` of all rows.
    var jobIDs: [Int64] {
        let jobID = column("job_id")
        return (0..<rowCount).map { int64($0, jobID) }
    }
}

/// Names the person for whom the session's role acts, until the end of the transaction: the log of operations has it.
struct SetActorStatement: QueueStatement {
    let statement = Statement("admin_set_actor", [.text], "SELECT set_config('stockq.acts_for', $1, true)")
}

/// Cancels queued jobs, groups whole.
struct CancelJobsStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "admin_cancel_jobs", SelectionParameters.types + [.text],
            """
            SELECT canceled.job_id
            FROM \(schema.quoted).cancel_jobs(
                \(SelectionParameters.arguments(schema)), reason => $6
            ) AS canceled (job_id)
            """)
    }

    static func parameters(_ selection: QueueAdmin.Selection, reason: String?) -> Parameters {
        var parameters = SelectionParameters.parameters(selection)
        parameters.add(reason)
        return parameters
    }
}

/// The next queued jobs of an import.
struct JobsOfImportStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "jobs_of_import", [.int8, .int8, .int4],
            """
            SELECT job_id
            FROM \(schema.quoted).jobs AS listed
            WHERE \(ImportList.jobs(schema).replacing("$", with: "$1")) AND job_id > $2
            ORDER BY job_id
            LIMIT $3
            """)
    }

    static func parameters(_ importID: Int64, after job: Int64, max: Int) -> Parameters {
        var parameters = Parameters()
        parameters.add(importID)
        parameters.add(job)
        parameters.add(Int32(max))
        return parameters
    }
}

/// Changes the priority of queued jobs, groups whole.
struct ReprioritizeStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "admin_reprioritize", SelectionParameters.types + [.int4],
            """
            SELECT \(schema.quoted).reprioritize($6, \(SelectionParameters.arguments(schema))) AS jobs
            """)
    }

    static func parameters(_ selection: QueueAdmin.Selection, priority: Int) -> Parameters {
        var parameters = SelectionParameters.parameters(selection)
        parameters.add(Int32(priority))
        return parameters
    }

    static func jobs(in rows: ResultSet) -> Int { Int(rows.int64(0, rows.column("jobs"))) }
}

/// Enqueues finished jobs again.
struct RetryJobsStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "admin_retry_jobs", [.int8Array],
            "SELECT job_id, retry_of FROM \(schema.quoted).retry_jobs(job_ids => $1)")
    }

    static func parameters(_ jobs: [Int64]) -> Parameters {
        var parameters = Parameters()
        parameters.addArray(of: jobs.count, int64: { jobs[$0] })
        return parameters
    }

    static func retries(in rows: ResultSet) -> [QueueAdmin.Retry] {
        let (jobID, retryOf) = (rows.column("job_id"), rows.column("retry_of"))
        return (0..<rows.rowCount).map {
            QueueAdmin.Retry(jobID: rows.int64($0, jobID), retryOf: rows.int64($0, retryOf))
        }
    }
}

/// Enqueues the failed jobs again, or the ones rejected with a code. The rows are those of `RetryJobsStatement`.
struct RetryManyStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "admin_retry_many", [.text, .text, .int8],
            """
            SELECT job_id, retry_of
            FROM \(schema.quoted).retry_jobs(
                failed => $1 IS NULL, code => $1, store_id => $2, since => $3 * interval '1 second'
            )
            """)
    }

    static func parameters(code: ResultCode?, store: String?, seconds: Int64) -> Parameters {
        var parameters = Parameters()
        parameters.add(code?.rawValue)
        parameters.add(store)
        parameters.add(seconds)
        return parameters
    }
}

/// The parameters that name what is paused.
enum ScopeParameters {
    static let types: [TypeOID] = [.text, .int4, .bool]

    static func parameters(_ scope: QueueAdmin.Scope) -> Parameters {
        var (store, lane, everything): (String?, Int32?, Bool) = (nil, nil, false)
        switch scope {
        case .everything: everything = true
        case .store(let name): store = name
        case .lane(let number): lane = Int32(number)
        }
        var parameters = Parameters()
        parameters.add(store)
        parameters.add(lane)
        parameters.add(everything)
        return parameters
    }
}

/// Pauses a store, a lane or everything. It waits for the batches that have the lanes locked.
struct PauseStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "admin_pause", ScopeParameters.types,
            "SELECT \(schema.quoted).pause(store_id => $1, lane => $2, everything => $3)")
    }

    static func parameters(_ scope: QueueAdmin.Scope) -> Parameters { ScopeParameters.parameters(scope) }
}

/// Resumes a store, a lane or everything.
struct ResumeStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "admin_resume", ScopeParameters.types,
            "SELECT \(schema.quoted).resume(store_id => $1, lane => $2, everything => $3) AS jobs")
    }

    static func parameters(_ scope: QueueAdmin.Scope) -> Parameters { ScopeParameters.parameters(scope) }

    static func jobs(in rows: ResultSet) -> Int { Int(rows.int64(0, rows.column("jobs"))) }
}

/// Changes attributes of an item.
struct SetItemStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "admin_set_item", ItemKeyReader.types + [.int8, .bool, .text, .textArray],
            "SELECT \(schema.quoted).set_item($1, $2, $3, $4, $5, $6, $7) AS is_known")
    }

    static func parameters(
        _ key: ItemKey, threshold: Int64?, tracked: Bool?, parent: String?, clear: [String]
    ) -> Parameters {
        var parameters = ItemKeyReader.parameters(key)
        parameters.add(threshold)
        parameters.add(tracked)
        parameters.add(parent)
        parameters.addArray(clear)
        return parameters
    }

    static func isKnown(in rows: ResultSet) -> Bool { rows.bool(0, rows.column("is_known")) }
}

/// Creates an item without stock at another location.
struct CopyItemStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        let items = "\(schema.quoted).items"
        statement = Statement(
            "admin_copy_item", ItemKeyReader.types + [.text],
            """
            INSERT INTO \(items) (store_id, item_id, location_id, parent_id, tracked, low_stock_threshold)
            SELECT store_id, item_id, $4, parent_id, tracked, CASE WHEN NOT threshold_is_default THEN low_stock_threshold END
            FROM \(items)
            WHERE (store_id, item_id, location_id) = ($1, $2, $3)
            ON CONFLICT DO NOTHING
            """)
    }
}

/// Sets or removes a store's limit of ready jobs.
struct SetStoreLimitStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "admin_set_store_limit", [.text, .int4], "SELECT \(schema.quoted).set_store_limit($1, $2)")
    }

    static func parameters(store: String, readyJobs: Int?) -> Parameters {
        var parameters = Parameters()
        parameters.add(store)
        parameters.add(readyJobs.map { Int32($0) })
        return parameters
    }
}

/// Adds scopes of a store to a producer.
struct GrantStoreStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "admin_grant_store", [.text, .text, .textArray], "SELECT \(schema.quoted).grant_store($1, $2, $3)")
    }

    static func parameters(producer: String, store: String, scopes: [String]) -> Parameters {
        var parameters = Parameters()
        parameters.add(producer)
        parameters.add(store)
        parameters.addArray(scopes)
        return parameters
    }
}

/// Removes scopes of a store from a producer, all of them where none is named. The parameters are those of
/// `GrantStoreStatement`.
struct RevokeStoreStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "admin_revoke_store", [.text, .text, .textArray],
            """
            SELECT \(schema.quoted).revoke_store($1, $2, CASE WHEN cardinality($3) > 0 THEN $3 END) AS had_any
            """)
    }

    static func hadAny(in rows: ResultSet) -> Bool { rows.bool(0, rows.column("had_any")) }
}

/// Lists which producer has which store.
struct ListGrantsStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "admin_list_grants", [],
            """
            SELECT producer, store_id, array_to_string(scopes, ',') AS scopes, granted_by, granted_at,
                EXISTS (SELECT FROM pg_roles WHERE rolname = producer) AS is_role
            FROM \(schema.quoted).grants
            ORDER BY producer, store_id
            """)
    }

    static func grants(in rows: ResultSet) -> [QueueAdmin.Grant] {
        let (producer, store, scopes) = (rows.column("producer"), rows.column("store_id"), rows.column("scopes"))
        let (grantedBy, grantedAt) = (rows.column("granted_by"), rows.column("granted_at"))
        let isRole = rows.column("is_role")
        return (0..<rows.rowCount).map { row in
            QueueAdmin.Grant(
                producer: rows.string(row, producer), store: rows.string(row, store),
                scopes: rows.string(row, scopes).split(separator: ",").map(String.init),
                grantedBy: rows.string(row, grantedBy), grantedAt: rows.timestamp(row, grantedAt),
                isRole: rows.bool(row, isRole))
        }
    }
}
