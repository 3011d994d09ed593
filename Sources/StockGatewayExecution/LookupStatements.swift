import StockGateway
import StockModel
import StockQueue
import StockQueuePostgres

// The functions of `migrations/functions/gateway.sql` for calls that change no stock. Each runs as one statement for one
// call.

/// Checks an access.
enum CheckAccess {
    static func run(_ access: Access, _ schema: QueueSchema, _ connection: Connection) throws(PostgresError)
        -> AccessAnswer
    {
        let statement = Statement(
            "gateway_access", [.textArray, .textArray, .textArray],
            "SELECT store_id, failure FROM \(schema.quoted).gateway_access($1, $2, $3)")
        var parameters = Parameters()
        parameters.addArray([access.tokenHash])
        parameters.addArray([access.storeID])
        parameters.addArray([access.scopeList])
        let rows = try connection.execute(statement, parameters)
        if let failure = rows.optionalString(0, rows.column("failure")) { return .failure(CallFailure(failure)) }
        return .success(AccessGrant(store: rows.string(0, rows.column("store_id"))))
    }
}

/// Issues a token to a client.
enum IssueToken {
    static func run(
        _ request: TokenRequest, seconds: Int, _ schema: QueueSchema, _ connection: Connection
    ) throws(PostgresError) -> TokenAnswer {
        let statement = Statement(
            "gateway_issue_token", [.textArray, .textArray, .textArray, .int4],
            """
            SELECT extract(epoch FROM expires_at)::bigint AS expires
            FROM \(schema.quoted).gateway_issue_tokens($1, $2, $3, $4)
            """)
        let secret: String? =
            switch request.grant {
            case .clientCredentials(let secret): GatewaySecret(secret).hash
            case .implicit: nil
            }
        let token = GatewaySecret.random(prefix: GatewaySecret.tokenPrefix)
        var parameters = Parameters()
        parameters.addArray([request.clientID])
        parameters.addArray([secret])
        parameters.addArray([token.hash])
        parameters.add(Int32(clamping: seconds))
        let rows = try connection.execute(statement, parameters)
        guard let expires = rows.optionalInt64(0, rows.column("expires")) else { return .failure(.invalidCredential) }
        return .success(IssuedToken(token.text, expires: expires, expiresInSeconds: Int64(seconds)))
    }
}

/// Reads the stock of items.
enum ReadLevels {
    static func run(
        _ query: LevelQuery, _ schema: QueueSchema, _ connection: Connection
    ) throws(PostgresError) -> LevelAnswer {
        let statement = Statement(
            "gateway_levels", [.text, .text, .text, .textArray, .text, .int8, .int8],
            """
            SELECT failure, total, item_id, location, on_hand, allocated, created_at, updated_at
            FROM \(schema.quoted).gateway_levels($1, $2, $3, $4, $5, $6, $7)
            """)
        var parameters = Parameters()
        parameters.add(query.access.tokenHash)
        parameters.add(query.access.storeID)
        parameters.add(query.access.scopeList)
        switch query.selection {
        case .items(let ids):
            parameters.addArray(ids)
            parameters.add(query.locationID)
            parameters.add(Int64(0))
            parameters.add(Int64(ids.count))
        case .page(let page):
            parameters.add(nil as String?)
            parameters.add(query.locationID)
            parameters.add(Int64(page.offset))
            parameters.add(Int64(page.limit))
        }
        let rows = try connection.execute(statement, parameters)
        if let failure = rows.optionalString(0, rows.column("failure")) { return .failure(CallFailure(failure)) }
        let levels = levels(rows)
        let total = rows.optionalInt64(0, rows.column("total")) ?? Int64(levels.count)
        return .success(Listing(levels, total: Int(total)))
    }

    /// The rows behind the first one are ordered by item and location.
    private static func levels(_ rows: ResultSet) -> [StockLevel] {
        let (item, location) = (rows.column("item_id"), rows.column("location"))
        let (onHand, allocated) = (rows.column("on_hand"), rows.column("allocated"))
        let (createdAt, updatedAt) = (rows.column("created_at"), rows.column("updated_at"))
        var levels: [StockLevel] = []
        for row in 1..<max(1, rows.rowCount) {
            let balance = Balance(onHand: rows.int64(row, onHand), allocated: rows.int64(row, allocated))
            let at = StockLevel.Location(rows.string(row, location), balance)
            let (created, updated) = (
                rows.timestamp(row, createdAt).microsecondsSince2000,
                rows.timestamp(row, updatedAt).microsecondsSince2000
            )
            let itemID = rows.string(row, item)
            if var last = levels.last, last.itemID == itemID {
                last.locations.append(at)
                last.createdAt = min(last.createdAt, created)
                last.updatedAt = max(last.updatedAt, updated)
                levels[levels.count - 1] = last
            } else {
                levels.append(StockLevel(item: itemID, [at], createdAt: created, updatedAt: updated))
            }
        }
        return levels
    }
}

/// Reads the history of an item.
enum ReadHistory {
    static func run(
        _ query: HistoryQuery, movementsMax: Int, _ schema: QueueSchema, _ connection: Connection
    ) throws(PostgresError) -> HistoryAnswer {
        let statement = Statement(
            "gateway_history", [.text, .text, .text, .text, .text, .int8, .int4],
            """
            SELECT failure, job_id, location, action, quantity, at
            FROM \(schema.quoted).gateway_history($1, $2, $3, $4, $5, $6, $7)
            """)
        var parameters = Parameters()
        parameters.add(query.access.tokenHash)
        parameters.add(query.access.storeID)
        parameters.add(query.access.scopeList)
        parameters.add(query.itemID)
        parameters.add(query.locationID)
        if case .entry(.job(let jobID)) = query.selection {
            parameters.add(jobID)
            parameters.add(Int32(1))
        } else {
            parameters.add(nil as Int64?)
            parameters.add(Int32(clamping: movementsMax))
        }
        let rows = try connection.execute(statement, parameters)
        if let failure = rows.optionalString(0, rows.column("failure")) {
            return failure == "unknown_item" ? .success(nil) : .failure(CallFailure(failure))
        }
        let entries = try entries(rows)
        switch query.selection {
        case .page(let page):
            return .success(
                Listing(Array(entries.dropFirst(page.offset).prefix(page.limit)), total: entries.count))
        case .entry(let id):
            let found = entries.filter { $0.id == id }
            return .success(Listing(found, total: found.count))
        }
    }

    private static func entries(_ rows: ResultSet) throws(PostgresError) -> [HistoryEntry] {
        let (jobID, location, action) = (rows.column("job_id"), rows.column("location"), rows.column("action"))
        let (quantity, at) = (rows.column("quantity"), rows.column("at"))
        var entries: [HistoryEntry] = []
        for row in 1..<max(1, rows.rowCount) {
            let kind: HistoryEntry.Kind
            if let label = rows.optionalString(row, action) {
                guard let known = StockAction(rawValue: label) else {
                    throw PostgresError(kind: .protocolViolation, message: "unknown action \(label)")
                }
                kind = .job(known)
            } else {
                kind = .opening
            }
            entries.append(
                HistoryEntry(
                    rows.optionalInt64(row, jobID).map { .job($0) } ?? .opening, kind,
                    location: rows.string(row, location), quantity: rows.int64(row, quantity),
                    at: rows.timestamp(row, at).microsecondsSince2000))
        }
        return entries
    }
}

/// Creates an item, or ends its management.
enum ChangeItem {
    static func run(
        _ call: ItemCall, _ schema: QueueSchema, _ connection: Connection
    ) throws(PostgresError) -> ItemAnswer {
        let statement = Statement(
            "gateway_change_item", [.text, .text, .text, .text, .textArray, .int8Array],
            """
            SELECT failure, outcome, changed_at FROM \(schema.quoted).gateway_change_item($1, $2, $3, $4, $5, $6)
            """)
        var locations: [(id: String, onHand: Int64)] = []
        var parameters = Parameters()
        parameters.add(call.access.tokenHash)
        parameters.add(call.access.storeID)
        parameters.add(call.access.scopeList)
        parameters.add(call.itemID)
        switch call.change {
        case .create(let onHand):
            locations = onHand.sorted { Array($0.key.utf8).lexicographicallyPrecedes(Array($1.key.utf8)) }
                .map { ($0.key, $0.value) }
            parameters.addArray(locations.map(\.id))
            parameters.addArray(of: locations.count, int64: { locations[$0].onHand })
        case .remove:
            parameters.add(nil as String?)
            parameters.add(nil as String?)
        }
        let rows = try connection.execute(statement, parameters)
        if let failure = rows.optionalString(0, rows.column("failure")) { return .failure(CallFailure(failure)) }
        switch rows.string(0, rows.column("outcome")) {
        case "created":
            let at = rows.timestamp(0, rows.column("changed_at")).microsecondsSince2000
            let levels = locations.map { StockLevel.Location($0.id, Balance(onHand: $0.onHand)) }
            return .success(.created(StockLevel(item: call.itemID, levels, createdAt: at, updatedAt: at)))
        case "removed": return .success(.removed)
        case "exists": return .success(.exists)
        default: return .success(.unknownItem)
        }
    }
}
