import StockQueuePostgres

/// The callers of the gateway.
extension QueueAdmin {
    /// A token without its secret, which the database does not have.
    package struct Token: Sendable, Hashable {
        package let name: String
        /// Calls that present no token.
        package let isAnonymous: Bool
        package let stores: [String]
        package let scopes: [String]
        package let createdBy: String
        package let createdAt: Timestamp
        package let expiresAt: Timestamp?
        package let lastUsedAt: Timestamp?
        package let revokedAt: Timestamp?
    }

    /// A client of OAuth 2.0 without its secret.
    package struct Client: Sendable, Hashable {
        package let name: String
        package let clientID: String
        package let store: String
        package let scopes: [String]
        package let createdBy: String
        package let createdAt: Timestamp
        package let lastUsedAt: Timestamp?
        package let revokedAt: Timestamp?
    }

    /// Creates a token. Only its hash leaves this process.
    package func createToken(
        _ name: String, stores: [String], scopes: [String], expiresAfter seconds: Int64?
    ) throws(PostgresError) -> GatewaySecret {
        let token = GatewaySecret.random(prefix: GatewaySecret.tokenPrefix)
        try createToken(name, hash: token.hash, stores, scopes, seconds)
        return token
    }

    /// Lets calls without a token use these stores.
    package func allowAnonymous(
        _ name: String, stores: [String], scopes: [String], expiresAfter seconds: Int64?
    ) throws(PostgresError) {
        try createToken(name, hash: nil, stores, scopes, seconds)
    }

    private func createToken(
        _ name: String, hash: String?, _ stores: [String], _ scopes: [String], _ seconds: Int64?
    ) throws(PostgresError) {
        let parameters = CreateTokenStatement.parameters(
            name: name, hash: hash, stores: stores, scopes: scopes, expiresAfterSeconds: seconds)
        try run(CreateTokenStatement(schema), parameters)
    }

    /// - Returns: whether there was such a token.
    package func revokeToken(_ name: String) throws(PostgresError) -> Bool {
        RevokeCallerStatement.wasRevoked(
            in: try run(RevokeCallerStatement(schema, .token), RevokeCallerStatement.parameters(name)))
    }

    /// The tokens that administrators created, by name.
    package func tokens() throws(PostgresError) -> [Token] {
        ListTokensStatement.tokens(in: try run(ListTokensStatement(schema)))
    }

    /// Creates a client. Only the hash of its secret leaves this process.
    package func createClient(
        _ name: String, store: String, scopes: [String]
    ) throws(PostgresError) -> (clientID: String, secret: GatewaySecret) {
        let clientID = GatewaySecret.randomHex(bytes: 20)
        let secret = GatewaySecret.random(prefix: "")
        let parameters = CreateClientStatement.parameters(
            name: name, clientID: clientID, hash: secret.hash, store: store, scopes: scopes)
        try run(CreateClientStatement(schema), parameters)
        return (clientID, secret)
    }

    /// Revokes a client and its tokens.
    ///
    /// - Returns: whether there was such a client.
    package func revokeClient(_ name: String) throws(PostgresError) -> Bool {
        RevokeCallerStatement.wasRevoked(
            in: try run(RevokeCallerStatement(schema, .client), RevokeCallerStatement.parameters(name)))
    }

    /// All clients, by name.
    package func clients() throws(PostgresError) -> [Client] {
        ListClientsStatement.clients(in: try run(ListClientsStatement(schema)))
    }
}
