import StockQueuePostgres

// The callers of the gateway: each statement calls a function of `migrations/functions/tokens.sql`. The parameters have
// hashes only, so no log of the server shows a secret.

/// Creates a token; without a hash, one for calls that present none.
struct CreateTokenStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "admin_create_token", [.text, .text, .textArray, .textArray, .int8],
            "SELECT \(schema.quoted).create_gateway_token($1, $2, $3, $4, $5 * interval '1 second')")
    }

    static func parameters(
        name: String, hash: String?, stores: [String], scopes: [String], expiresAfterSeconds: Int64?
    ) -> Parameters {
        var parameters = Parameters()
        parameters.add(name)
        parameters.add(hash)
        parameters.addArray(stores)
        parameters.addArray(scopes)
        parameters.add(expiresAfterSeconds)
        return parameters
    }
}

/// Creates a client.
struct CreateClientStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "admin_create_client", [.text, .text, .text, .text, .textArray],
            "SELECT \(schema.quoted).create_gateway_client($1, $2, $3, $4, $5)")
    }

    static func parameters(
        name: String, clientID: String, hash: String, store: String, scopes: [String]
    ) -> Parameters {
        var parameters = Parameters()
        for text in [name, clientID, hash, store] { parameters.add(text) }
        parameters.addArray(scopes)
        return parameters
    }
}

/// Revokes a token or a client by its name.
struct RevokeCallerStatement: QueueStatement {
    enum Kind: String { case token, client }

    let statement: Statement

    init(_ schema: QueueSchema, _ kind: Kind) {
        statement = Statement(
            "admin_revoke_\(kind.rawValue)", [.text],
            "SELECT \(schema.quoted).revoke_gateway_\(kind.rawValue)($1) AS was_revoked")
    }

    static func parameters(_ name: String) -> Parameters {
        var parameters = Parameters()
        parameters.add(name)
        return parameters
    }

    static func wasRevoked(in rows: ResultSet) -> Bool { rows.bool(0, rows.column("was_revoked")) }
}

/// Lists the tokens that administrators created.
struct ListTokensStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "admin_list_tokens", [],
            """
            SELECT name, is_anonymous, array_to_string(stores, chr(31)) AS stores,
                array_to_string(scopes, ',') AS scopes, created_by, created_at, expires_at, last_used_at, revoked_at
            FROM \(schema.quoted).list_gateway_tokens()
            """)
    }

    static func tokens(in rows: ResultSet) -> [QueueAdmin.Token] {
        func column(_ name: String) -> Int { rows.column(name) }
        return (0..<rows.rowCount).map { row in
            QueueAdmin.Token(
                name: rows.string(row, column("name")), isAnonymous: rows.bool(row, column("is_anonymous")),
                stores: rows.string(row, column("stores")).split(separator: "\u{1F}").map(String.init),
                scopes: rows.string(row, column("scopes")).split(separator: ",").map(String.init),
                createdBy: rows.string(row, column("created_by")),
                createdAt: rows.timestamp(row, column("created_at")),
                expiresAt: rows.optionalTimestamp(row, column("expires_at")),
                lastUsedAt: rows.optionalTimestamp(row, column("last_used_at")),
                revokedAt: rows.optionalTimestamp(row, column("revoked_at")))
        }
    }
}

/// Lists the clients.
struct ListClientsStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "admin_list_clients", [],
            """
            SELECT name, client_id, store_id, array_to_string(scopes, ',') AS scopes, created_by, created_at,
                last_used_at, revoked_at
            FROM \(schema.quoted).list_gateway_clients()
            """)
    }

    static func clients(in rows: ResultSet) -> [QueueAdmin.Client] {
        func column(_ name: String) -> Int { rows.column(name) }
        return (0..<rows.rowCount).map { row in
            QueueAdmin.Client(
                name: rows.string(row, column("name")), clientID: rows.string(row, column("client_id")),
                store: rows.string(row, column("store_id")),
                scopes: rows.string(row, column("scopes")).split(separator: ",").map(String.init),
                createdBy: rows.string(row, column("created_by")),
                createdAt: rows.timestamp(row, column("created_at")),
                lastUsedAt: rows.optionalTimestamp(row, column("last_used_at")),
                revokedAt: rows.optionalTimestamp(row, column("revoked_at")))
        }
    }
}
